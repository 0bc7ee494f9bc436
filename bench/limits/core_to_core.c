// The floor of everything that passes through shared memory: two threads, each on a core of its own, bounce
// one word. What it costs is moving one cache line to the other core and back; no message can be faster.
//
//   cpu A                       cpu B
//   store 2i+1 ──► [ word ] ──► wait for 2i+1
//   wait for 2i+2 ◄─ [word] ◄── store 2i+2

#define _GNU_SOURCE

#include <stdatomic.h>

#include "limit.h"

#define STOP UINT64_MAX

typedef struct {
  _Alignas(CACHE_LINE_PAIR) _Atomic uint64_t word;
  _Alignas(CACHE_LINE_PAIR) int cpu;  // of the echo
} Shared;

static void* echo(void* argument) {
  Shared* shared = argument;
  pin(shared->cpu);
  for (uint64_t expected = 1;; expected += 2) {
    uint64_t seen;
    // OBSERVE the store of bounce(); STOP ends the thread.
    while ((seen = atomic_load_explicit(&shared->word, memory_order_acquire)) != expected) {
      if (seen == STOP) return NULL;
    }
    // PUBLISH; observed by bounce().
    atomic_store_explicit(&shared->word, expected + 1, memory_order_release);
  }
}

static void bounce(void* state, int64_t from, int64_t round_trips) {
  Shared* shared = state;
  uint64_t word = (uint64_t)from * 2;
  for (int64_t i = 0; i < round_trips; i++) {
    // PUBLISH; observed by echo().
    atomic_store_explicit(&shared->word, word + 1, memory_order_release);
    word += 2;
    // OBSERVE the store of echo().
    while (atomic_load_explicit(&shared->word, memory_order_acquire) != word) {
    }
  }
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  static Shared shared;
  shared.cpu = plan.cpu[1];

  pthread_t thread;
  errno = pthread_create(&thread, NULL, echo, &shared);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, bounce, &shared);

  atomic_store_explicit(&shared.word, STOP, memory_order_release);
  pthread_join(thread, NULL);
  return 0;
}
