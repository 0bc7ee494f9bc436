// The floor of large messages through shared memory: two threads, each on a core of its own. One copies a
// block into the next of some slots, the other one compares every byte of it there.
//
//   cpu A                                                      cpu B
//   wait until the slot is free, memcpy, flag ──► [ slots ] ──► wait for the flag, memcmp, free the slot
//
// -DBLOCK is the bytes of a block, -DSLOTS how many there are, as many as messages of this size are in the
// ring that is compared with this. Blocks are those of bench/flow/bulk.ts.

#define _GNU_SOURCE

#include <stdatomic.h>

#include "limit.h"

#ifndef BLOCK
#define BLOCK 65536
#endif
#ifndef SLOTS
#define SLOTS 8
#endif

#define WORDS (BLOCK / 8)
#define WORDS_PER_NUMBER 512
#define LARGEST 0xffff

typedef struct {
  _Alignas(CACHE_LINE_PAIR) _Atomic int64_t filled;  // blocks, by the producer; -1 ends the consumer
  _Alignas(CACHE_LINE_PAIR) _Atomic int64_t freed;   // blocks, by the consumer
  _Alignas(CACHE_LINE_PAIR) int cpu;                 // of the consumer
  _Alignas(4096) double cargo[WORDS];
  _Alignas(4096) double expected[WORDS];
  _Alignas(4096) double slots[SLOTS][WORDS];
} Memory;

static void make_cargo(double* cargo) {
  for (uint32_t i = 0; i < WORDS; i++) cargo[i] = (i * 0x9e3779b1u) & LARGEST;
}

// Message `number`, in memory of this side alone.
static void set_number(double* cargo, int64_t number) {
  for (size_t i = 0; i < WORDS; i += WORDS_PER_NUMBER) cargo[i] = (double)number;
}

static void* consume(void* argument) {
  Memory* memory = argument;
  pin(memory->cpu);
  for (int64_t number = 0;; number++) {
    int64_t filled;
    // OBSERVE the blocks of fill().
    while ((filled = atomic_load_explicit(&memory->filled, memory_order_acquire)) <= number) {
      if (filled < 0) return NULL;
    }
    set_number(memory->expected, number);
    if (memcmp(memory->slots[number % SLOTS], memory->expected, BLOCK) != 0) {
      fprintf(stderr, "block %lld came wrong\n", (long long)number);
      exit(1);
    }
    // FREE the slot; observed by fill().
    atomic_store_explicit(&memory->freed, number + 1, memory_order_release);
  }
}

static int64_t fill(void* state, int64_t from, int64_t count) {
  Memory* memory = state;
  for (int64_t number = from; number < from + count; number++) {
    // OBSERVE a free slot, by consume().
    while (number - atomic_load_explicit(&memory->freed, memory_order_acquire) >= SLOTS) {
    }
    set_number(memory->cargo, number);
    memcpy(memory->slots[number % SLOTS], memory->cargo, BLOCK);
    // FLAG the block; observed by consume().
    atomic_store_explicit(&memory->filled, number + 1, memory_order_release);
  }
  // OBSERVE that all was read, by consume().
  while (atomic_load_explicit(&memory->freed, memory_order_acquire) < from + count) {
  }
  return 0;
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  static Memory memory;
  memory.cpu = plan.cpu[1];
  make_cargo(memory.cargo);
  make_cargo(memory.expected);

  pthread_t thread;
  errno = pthread_create(&thread, NULL, consume, &memory);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, fill, &memory);

  atomic_store_explicit(&memory.filled, -1, memory_order_release);
  pthread_join(thread, NULL);
  return 0;
}
