// The memory of a ring with the record layout of lib/ring/layout.ts, as the limit programs of rings share it.
// A record is published by one store, of its size, into a header word that reads zero until then; the
// consumer clears what it has read, and hands it back by a position.
//
// What a ring of ours does on top is no part of a floor: it commits each pop, so that it survives the death
// of its process, and checks what the other side wrote.

#ifndef TCPSHM_BENCH_RING_H
#define TCPSHM_BENCH_RING_H

#include <stdatomic.h>

#include "limit.h"

#define CAPACITY (1 << 20)  // the default of ours
#define HEADER 8
#define ALIGNMENT 8
#define LENGTH(payload) (((payload) + HEADER + ALIGNMENT - 1) & -ALIGNMENT)
#define PADDING_KIND 65536  // as in lib/ring/layout.ts

typedef struct {
  _Alignas(CACHE_LINE_PAIR) _Atomic uint32_t reclaimed;
  _Alignas(CACHE_LINE_PAIR) unsigned char records[CAPACITY];
} Ring;

static inline unsigned char* record_at(Ring* ring, uint32_t position) {
  return ring->records + (position & (CAPACITY - 1));
}

static inline _Atomic uint32_t* size_word(Ring* ring, uint32_t position) {
  return (_Atomic uint32_t*)record_at(ring, position);
}

// Bytes that are left before the end of the ring.
static inline uint32_t room_at(uint32_t position) { return CAPACITY - (position & (CAPACITY - 1)); }

static inline void hand_back(Ring* ring, uint32_t from, uint32_t to) {
  uint32_t size = to - from;
  uint32_t head = size < room_at(from) ? size : room_at(from);
  memset(record_at(ring, from), 0, head);
  memset(ring->records, 0, size - head);
  // HAND BACK cleared space; observed by who looks for room.
  atomic_store_explicit(&ring->reclaimed, to, memory_order_release);
}

#endif
