// What every limit program shares: its arguments, pinning, the clock, and the one line that it prints.
//
//   program CPU_A CPU_B BATCHES ROUND_TRIPS_PER_BATCH LIMIT_MS
//
// A cpu of -1 leaves that thread unpinned. A batch is timed as a whole, and its sample is the mean of its
// round trips: reading the clock costs a good part of a round trip between two cores. The run ends
// after BATCHES batches or LIMIT_MS milliseconds, whichever comes first, so that a machine that is busy with
// other things cannot hold it up. The first WARM_UP_BATCHES are run and not reported.

#ifndef TCPSHM_BENCH_LIMIT_H
#define TCPSHM_BENCH_LIMIT_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before the first include"
#endif

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CACHE_LINE_PAIR 128  // the prefetcher fetches lines in pairs
#define WARM_UP_BATCHES 10
#define MAX_BATCHES 1000000

typedef struct {
  int cpu[2];
  int64_t batches;
  int64_t round_trips;  // per batch
  int64_t limit_ms;
} Plan;

static void fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t integer_argument(const char* text, int64_t min, int64_t max, const char* name) {
  char* end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
    fprintf(stderr, "%s must be an integer from %lld to %lld, got '%s'\n", name, (long long)min,
            (long long)max, text);
    exit(2);
  }
  return value;
}

static Plan parse_plan(int argc, char** argv) {
  if (argc != 6) {
    fprintf(stderr, "usage: %s CPU_A CPU_B BATCHES ROUND_TRIPS_PER_BATCH LIMIT_MS\n", argv[0]);
    exit(2);
  }
  Plan plan;
  plan.cpu[0] = (int)integer_argument(argv[1], -1, 1023, "CPU_A");
  plan.cpu[1] = (int)integer_argument(argv[2], -1, 1023, "CPU_B");
  plan.batches = integer_argument(argv[3], 1, MAX_BATCHES, "BATCHES");
  plan.round_trips = integer_argument(argv[4], 1, 1000000000, "ROUND_TRIPS_PER_BATCH");
  plan.limit_ms = integer_argument(argv[5], 1, 3600000, "LIMIT_MS");
  return plan;
}

// Pins the calling thread. Only Linux can; elsewhere the thread stays where the scheduler puts it.
static void pin(int cpu) {
#ifdef __linux__
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
#else
  (void)cpu;
#endif
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// Polls the clock for so long, and returns for how long it was.
static inline int64_t pause_ns(int64_t least) {
  int64_t start = now_ns();
  int64_t now = start;
  while (now - start < least) now = now_ns();
  return now - start;
}

// Makes `round_trips` round trips, of which the first has the sequence number `from`. Returns the nanoseconds
// of them that do not count.
typedef int64_t (*Batch)(void* state, int64_t from, int64_t round_trips);

// Runs the plan and prints {"batch":…,"samplesNs":[…]}, one sample per batch: its mean round trip.
static void measure(const Plan* plan, Batch batch, void* state) {
  double* samples = malloc((size_t)plan->batches * sizeof *samples);
  if (samples == NULL) fail("malloc");
  int64_t count = 0;
  int64_t sequence = 0;
  int64_t start = now_ns();
  for (int64_t i = -WARM_UP_BATCHES; i < plan->batches; i++) {
    int64_t before = now_ns();
    if (count > 0 && before - start > plan->limit_ms * 1000000) break;
    int64_t paused = batch(state, sequence, plan->round_trips);
    sequence += plan->round_trips;
    if (i >= 0) samples[count++] = (double)(now_ns() - before - paused) / (double)plan->round_trips;
  }
  printf("{\"batch\":%lld,\"samplesNs\":[", (long long)plan->round_trips);
  for (int64_t i = 0; i < count; i++) printf(i == 0 ? "%.2f" : ",%.2f", samples[i]);
  printf("]}\n");
  free(samples);
}

#endif
