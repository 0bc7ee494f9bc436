// The floor of everything that passes through shared memory: two threads, each on a core of its own, answer
// each other with a number. Each writes a word of its own, as the two sides of a ring do. What it costs is
// moving two cache lines to the other core, and taking each back to write it again; no message can be faster.
//
//   cpu A                               cpu B
//   there = 2i+1  ──► [ there ] ──►     wait for 2i+1
//   wait for 2i+2 ◄── [ back  ] ◄──     back = 2i+2
//
// With -DONE_WORD both write the same word. An answer that is written the moment the question is seen then
// finds the line still here, and the round trip takes half; but nothing that does any work in between can
// have that. Nanoseconds per round trip against the work before each answer, where this was written:
//
//   work        0     6    12    23    46
//   one word  137   151   213   306   361
//   two words 287   321   287   337   314

#define _GNU_SOURCE

#include <stdatomic.h>

#include "limit.h"

#define STOP UINT64_MAX

typedef struct {
#ifdef ONE_WORD
  union {
    _Alignas(CACHE_LINE_PAIR) _Atomic uint64_t there;
    _Alignas(CACHE_LINE_PAIR) _Atomic uint64_t back;
  };
#else
  _Alignas(CACHE_LINE_PAIR) _Atomic uint64_t there;
  _Alignas(CACHE_LINE_PAIR) _Atomic uint64_t back;
#endif
  _Alignas(CACHE_LINE_PAIR) int cpu;  // of the echo
} Shared;

static void* echo(void* argument) {
  Shared* shared = argument;
  pin(shared->cpu);
  for (uint64_t expected = 1;; expected += 2) {
    uint64_t seen;
    // OBSERVE the store of bounce(); STOP ends the thread.
    while ((seen = atomic_load_explicit(&shared->there, memory_order_acquire)) != expected) {
      if (seen == STOP) return NULL;
    }
    // PUBLISH; observed by bounce().
    atomic_store_explicit(&shared->back, expected + 1, memory_order_release);
  }
}

static int64_t bounce(void* state, int64_t from, int64_t round_trips) {
  Shared* shared = state;
  uint64_t number = (uint64_t)from * 2;
  for (int64_t i = 0; i < round_trips; i++) {
    // PUBLISH; observed by echo().
    atomic_store_explicit(&shared->there, number + 1, memory_order_release);
    number += 2;
    // OBSERVE the store of echo().
    while (atomic_load_explicit(&shared->back, memory_order_acquire) != number) {
    }
  }
  return 0;
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

  atomic_store_explicit(&shared.there, STOP, memory_order_release);
  pthread_join(thread, NULL);
  return 0;
}
