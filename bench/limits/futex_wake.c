// The floor of everything that sleeps while it waits: two threads, each on a core of its own, answer each
// other with a number, and each is asleep in the kernel (a futex) until the other one wakes it. A round trip
// is two wake-ups: what it costs is two system calls, two interrupts to a core that has halted, and two
// switches to the thread that waits there.
//
//   cpu A                                       cpu B
//   there = i, wake B ──► [ there ] ──►  asleep until there is i
//   asleep until back is i ◄── [ back ] ◄── back = i, wake A
//
// Before each message A waits, polling the clock, so that both have been asleep for a while, as those are who
// are compared with this; that wait is not counted. Without it B may be woken while it is about to fall
// asleep.
//
// Between processes it takes the same: only the address is looked up in another way.

#define _GNU_SOURCE

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "limit.h"

#define STOP UINT32_MAX
#define PAUSE_NS 50000  // as in bench/waiting/driven.ts

typedef struct {
  _Alignas(CACHE_LINE_PAIR) _Atomic uint32_t there;
  _Alignas(CACHE_LINE_PAIR) _Atomic uint32_t back;
  _Alignas(CACHE_LINE_PAIR) int cpu;  // of the echo
} Shared;

// Stores a number, and wakes who waits for it.
static void give(_Atomic uint32_t* word, uint32_t number) {
  // PUBLISH; observed by await(), or by the kernel, which puts nobody to sleep who has not seen it.
  atomic_store_explicit(word, number, memory_order_release);
  if (syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) < 0) fail("futex wake");
}

// Sleeps until the word is not `old` any more, and gives what it is.
static uint32_t await(_Atomic uint32_t* word, uint32_t old) {
  for (;;) {
    // OBSERVE the store of give().
    uint32_t number = atomic_load_explicit(word, memory_order_acquire);
    if (number != old) return number;
    if (syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0) < 0 && errno != EAGAIN &&
        errno != EINTR) {
      fail("futex wait");
    }
  }
}

static void* echo(void* argument) {
  Shared* shared = argument;
  pin(shared->cpu);
  for (uint32_t seen = 0;;) {
    seen = await(&shared->there, seen);
    if (seen == STOP) return NULL;
    give(&shared->back, seen);
  }
}

static int64_t bounce(void* state, int64_t from, int64_t round_trips) {
  Shared* shared = state;
  int64_t paused = 0;
  for (int64_t i = from + 1; i <= from + round_trips; i++) {
    paused += pause_ns(PAUSE_NS);
    give(&shared->there, (uint32_t)i);
    uint32_t answer = await(&shared->back, (uint32_t)(i - 1));
    if (answer != (uint32_t)i) {
      fprintf(stderr, "expected the answer %lld, got %u\n", (long long)i, answer);
      exit(1);
    }
  }
  return paused;
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

  give(&shared.there, STOP);
  pthread_join(thread, NULL);
  return 0;
}
