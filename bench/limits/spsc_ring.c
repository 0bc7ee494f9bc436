// The floor of everything that passes through a ring one way: two threads, each on a core of its own, and the
// ring of ring.h.
//
//   cpu A                                                            cpu B
//   wait for room, write payload,     ──► [ size | type | payload ]  wait for a size, verify the payload,
//   publish the size                                                 clear, hand back
//
// -DPAYLOAD is the bytes of a message. With -DBATCH=17 so many are published together, by the size of the
// first one. Messages are those of bench/mix.ts, and both sides check as much of them as is checked there.

#define _GNU_SOURCE

#include "message.h"
#include "ring.h"

#ifndef PAYLOAD
#define PAYLOAD 64
#endif
#ifndef BATCH
#define BATCH 1
#endif

#define RECLAIM 16384  // as in lib/ring/consumer.ts

typedef struct {
  Ring ring;
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
} Flow;

static void* consume(void* argument) {
  Flow* flow = argument;
  Ring* ring = &flow->ring;
  pin(flow->cpu);
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
        atomic_store_explicit(&flow->verified, verified, memory_order_release);
        told = verified;
      } else if (atomic_load_explicit(&flow->stop, memory_order_acquire)) {
        return NULL;
      }
      continue;
    }
    unsigned char* record = record_at(ring, position);
    if (get(record + 4) == PADDING_KIND) {
      position += size;
      continue;
    }
    if (size != PAYLOAD + HEADER) {
      fprintf(stderr, "message %u has a size of %u\n", sequence, size);
      exit(1);
    }
    verify(record + HEADER, PAYLOAD, sequence++);
    flow->seen_checksum = add(flow->seen_checksum, record + HEADER, PAYLOAD);
    verified++;
    position += LENGTH(PAYLOAD);
    if (position - reclaimed >= RECLAIM) {
      hand_back(ring, reclaimed, position);
      reclaimed = position;
    }
  }
}

// Appends a record to the open batch: the size of its first one is held back.
static void append(Flow* flow, uint32_t size, uint32_t length, uint32_t kind) {
  put(record_at(&flow->ring, flow->position) + 4, kind);
  if (flow->first_size == 0) {
    flow->first_size = size;
  } else {
    atomic_store_explicit(size_word(&flow->ring, flow->position), size, memory_order_relaxed);
  }
  flow->position += length;
}

static void publish(Flow* flow) {
  if (flow->first_size == 0) return;
  // PUBLISH what was appended; observed by consume().
  atomic_store_explicit(size_word(&flow->ring, flow->published), flow->first_size, memory_order_release);
  flow->published = flow->position;
  flow->first_size = 0;
}

static void find_room(Flow* flow, uint32_t length) {
  if ((int32_t)(flow->limit - flow->position) >= (int32_t)length) return;
  publish(flow);
  do {
    // OBSERVE what hand_back() has cleared.
    uint32_t reclaimed = atomic_load_explicit(&flow->ring.reclaimed, memory_order_acquire);
    flow->limit = reclaimed + CAPACITY - ALIGNMENT;
  } while ((int32_t)(flow->limit - flow->position) < (int32_t)length);
}

static int64_t send_all(void* state, int64_t from, int64_t count) {
  Flow* flow = state;
  for (int64_t i = from; i < from + count; i++) {
    uint32_t length = LENGTH(PAYLOAD);
    uint32_t room = room_at(flow->position);
    uint32_t padding = length > room ? room : 0;
    find_room(flow, padding + length);
    unsigned char* payload = record_at(&flow->ring, flow->position + padding) + HEADER;
    stamp(payload, PAYLOAD, (uint32_t)i);
    flow->checksum = add(flow->checksum, payload, PAYLOAD);
    if (padding != 0) append(flow, padding, padding, PADDING_KIND);
    append(flow, PAYLOAD + HEADER, length, 1);
    if ((i + 1) % BATCH == 0) publish(flow);
  }
  publish(flow);
  // OBSERVE that all was verified, by consume().
  while (atomic_load_explicit(&flow->verified, memory_order_acquire) < from + count) {
  }
  if (flow->checksum != flow->seen_checksum) {
    fprintf(stderr, "the checksums of %lld messages differ\n", (long long)(from + count));
    exit(1);
  }
  return 0;
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  static Flow flow;
  flow.cpu = plan.cpu[1];
  flow.limit = CAPACITY - ALIGNMENT;

  pthread_t thread;
  errno = pthread_create(&thread, NULL, consume, &flow);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, send_all, &flow);

  atomic_store_explicit(&flow.stop, true, memory_order_release);
  pthread_join(thread, NULL);
  return 0;
}
