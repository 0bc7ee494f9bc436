// The floor of everything that passes through a ring one way: two threads, each on a core of its own, and a
// ring with the record layout of lib/ring/layout.ts. A record is published by one store, of its size, into a
// header word that reads zero until then; the consumer clears what it has read, and hands it back by a
// position.
//
//   cpu A                                                            cpu B
//   wait for room, write payload,     ──► [ size | type | payload ]  wait for a size, verify the payload,
//   publish the size                                                 clear, hand back
//
// What a ring of ours does on top is no part of a floor: it commits each pop, so that it survives the death
// of its process, and checks what the other side wrote.
//
// -DPAYLOAD is the bytes of a message. With -DBATCH=17 so many are published together, by the size of the
// first one. Messages are those of bench/mix.ts, and both sides check as much of them as is checked there.

#define _GNU_SOURCE

#include <stdatomic.h>

#include "message.h"

#ifndef PAYLOAD
#define PAYLOAD 64
#endif
#ifndef BATCH
#define BATCH 1
#endif

#define CAPACITY (1 << 20)  // the default of ours
#define HEADER 8
#define ALIGNMENT 8
#define LENGTH ((PAYLOAD + HEADER + ALIGNMENT - 1) & -ALIGNMENT)
#define RECLAIM 16384       // as in lib/ring/consumer.ts
#define PADDING_KIND 65536  // as in lib/ring/layout.ts

typedef struct {
  _Alignas(CACHE_LINE_PAIR) _Atomic uint32_t reclaimed;
  _Alignas(CACHE_LINE_PAIR) _Atomic int64_t verified;  // messages
  _Alignas(CACHE_LINE_PAIR) _Atomic bool stop;
  int cpu;  // of the consumer
  // Of the producer.
  _Alignas(CACHE_LINE_PAIR) uint32_t position;
  uint32_t limit;
  uint32_t published;   // where the open batch begins
  uint32_t first_size;  // publishes it; 0 without one
  uint32_t checksum;
  _Alignas(CACHE_LINE_PAIR) uint32_t seen_checksum;  // of the consumer
  _Alignas(CACHE_LINE_PAIR) unsigned char records[CAPACITY];
} Ring;

static _Atomic uint32_t* size_word(Ring* ring, uint32_t position) {
  return (_Atomic uint32_t*)(ring->records + (position & (CAPACITY - 1)));
}

static void hand_back(Ring* ring, uint32_t from, uint32_t to) {
  uint32_t start = from & (CAPACITY - 1);
  uint32_t size = to - from;
  uint32_t head = size < CAPACITY - start ? size : CAPACITY - start;
  memset(ring->records + start, 0, head);
  memset(ring->records, 0, size - head);
  // HAND BACK cleared space; observed by find_room().
  atomic_store_explicit(&ring->reclaimed, to, memory_order_release);
}

static void* consume(void* argument) {
  Ring* ring = argument;
  pin(ring->cpu);
  uint32_t position = 0;
  uint32_t reclaimed = 0;
  uint32_t sequence = 0;
  int64_t verified = 0;
  int64_t told = 0;
  for (;;) {
    // OBSERVE the publication by publish().
    uint32_t size = atomic_load_explicit(size_word(ring, position), memory_order_acquire);
    if (size == 0) {
      if (reclaimed != position) {
        hand_back(ring, reclaimed, position);
        reclaimed = position;
      }
      if (told != verified) {
        // TELL what was verified; observed by send_all().
        atomic_store_explicit(&ring->verified, verified, memory_order_release);
        told = verified;
      } else if (atomic_load_explicit(&ring->stop, memory_order_acquire)) {
        return NULL;
      }
      continue;
    }
    unsigned char* record = ring->records + (position & (CAPACITY - 1));
    if (get(record + 4) == PADDING_KIND) {
      position += size;
      continue;
    }
    if (size != PAYLOAD + HEADER) {
      fprintf(stderr, "message %u has a size of %u\n", sequence, size);
      exit(1);
    }
    verify(record + HEADER, PAYLOAD, sequence++);
    ring->seen_checksum = add(ring->seen_checksum, record + HEADER, PAYLOAD);
    verified++;
    position += LENGTH;
    if (position - reclaimed >= RECLAIM) {
      hand_back(ring, reclaimed, position);
      reclaimed = position;
    }
  }
}

// Appends a record to the open batch: the size of its first one is held back.
static void append(Ring* ring, uint32_t size, uint32_t length, uint32_t kind) {
  unsigned char* record = ring->records + (ring->position & (CAPACITY - 1));
  put(record + 4, kind);
  if (ring->first_size == 0) {
    ring->first_size = size;
  } else {
    atomic_store_explicit(size_word(ring, ring->position), size, memory_order_relaxed);
  }
  ring->position += length;
}

static void publish(Ring* ring) {
  if (ring->first_size == 0) return;
  // PUBLISH what was appended; observed by consume().
  atomic_store_explicit(size_word(ring, ring->published), ring->first_size, memory_order_release);
  ring->published = ring->position;
  ring->first_size = 0;
}

static void find_room(Ring* ring, uint32_t length) {
  if ((int32_t)(ring->limit - ring->position) >= (int32_t)length) return;
  publish(ring);
  do {
    // OBSERVE what hand_back() has cleared.
    uint32_t reclaimed = atomic_load_explicit(&ring->reclaimed, memory_order_acquire);
    ring->limit = reclaimed + CAPACITY - ALIGNMENT;
  } while ((int32_t)(ring->limit - ring->position) < (int32_t)length);
}

static int64_t send_all(void* state, int64_t from, int64_t count) {
  Ring* ring = state;
  for (int64_t i = from; i < from + count; i++) {
    uint32_t room = CAPACITY - (ring->position & (CAPACITY - 1));
    uint32_t padding = LENGTH > room ? room : 0;
    find_room(ring, padding + LENGTH);
    uint32_t start = (ring->position + padding) & (CAPACITY - 1);
    unsigned char* payload = ring->records + start + HEADER;
    stamp(payload, PAYLOAD, (uint32_t)i);
    ring->checksum = add(ring->checksum, payload, PAYLOAD);
    if (padding != 0) append(ring, padding, padding, PADDING_KIND);
    append(ring, PAYLOAD + HEADER, LENGTH, 1);
    if ((i + 1) % BATCH == 0) publish(ring);
  }
  publish(ring);
  // OBSERVE that all was verified, by consume().
  while (atomic_load_explicit(&ring->verified, memory_order_acquire) < from + count) {
  }
  if (ring->checksum != ring->seen_checksum) {
    fprintf(stderr, "the checksums of %lld messages differ\n", (long long)(from + count));
    exit(1);
  }
  return 0;
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  static Ring ring;
  ring.cpu = plan.cpu[1];
  ring.limit = CAPACITY - ALIGNMENT;

  pthread_t thread;
  errno = pthread_create(&thread, NULL, consume, &ring);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, send_all, &ring);

  atomic_store_explicit(&ring.stop, true, memory_order_release);
  pthread_join(thread, NULL);
  return 0;
}
