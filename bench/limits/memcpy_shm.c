// The floor of large messages through shared memory: two threads, each on a core of its own. One copies a
// block into the next of some slots, the other one reads every word of it there.
//
//   cpu A                                                      cpu B
//   wait until the slot is free, memcpy, flag ──► [ slots ] ──► wait for the flag, sum up, free the slot
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
  double sum;                                        // of a block whose numbers read 0
  double numbers;                                    // in a block
  _Alignas(4096) double cargo[WORDS];
  _Alignas(4096) double slots[SLOTS][WORDS];
} Memory;

static void make_cargo(Memory* memory) {
  for (uint32_t i = 0; i < WORDS; i++) {
    memory->cargo[i] = i % WORDS_PER_NUMBER == 0 ? 0 : (i * 0x9e3779b1u) & LARGEST;
    memory->sum += memory->cargo[i];
    memory->numbers += i % WORDS_PER_NUMBER == 0;
  }
}

// In parts, each of which the processor can add while it adds the others, as bench/flow/bulk.ts does.
static double sum_of(const double* words) {
  double a = 0;
  double b = 0;
  double c = 0;
  double d = 0;
  double e = 0;
  double f = 0;
  double g = 0;
  double h = 0;
  for (size_t i = 0; i < WORDS; i += 8) {
    a += words[i];
    b += words[i + 1];
    c += words[i + 2];
    d += words[i + 3];
    e += words[i + 4];
    f += words[i + 5];
    g += words[i + 6];
    h += words[i + 7];
  }
  return a + b + c + d + e + f + g + h;
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
    const double* words = memory->slots[number % SLOTS];
    if (words[0] != (double)number || sum_of(words) != memory->sum + (double)number * memory->numbers) {
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
    double* words = memory->slots[number % SLOTS];
    memcpy(words, memory->cargo, BLOCK);
    for (size_t i = 0; i < WORDS; i += WORDS_PER_NUMBER) words[i] = (double)number;
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
  make_cargo(&memory);

  pthread_t thread;
  errno = pthread_create(&thread, NULL, consume, &memory);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, fill, &memory);

  atomic_store_explicit(&memory.filled, -1, memory_order_release);
  pthread_join(thread, NULL);
  return 0;
}
