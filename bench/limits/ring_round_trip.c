// The round trip of a ring like ours, in C: two threads, each on a core of its own, and two of the rings of
// ring.h, with the messages of the round trip benchmark. What it takes more than a bounced word is what
// messages cost on this machine whoever moves them: most of them lie in more than one cache line, which come
// one after the other, and the consumer takes each line back to clear it.
//
//   cpu A                                   cpu B
//   stamp, publish  ──► [ there ] ──►       copy to an answer, publish
//   verify          ◄── [ back  ] ◄──
//
// Nanoseconds per round trip with messages of one size, where this was written (a bounced word: 118):
//
//   payload, bytes        24    56    64
//   lines of a record      1     1   1-2
//   round trip           125   143   212

#define _GNU_SOURCE

#include "message.h"
#include "ring.h"

typedef struct {
  Ring* ring;
  uint32_t position;
  uint32_t reclaimed;  // of a consumer
} End;

typedef struct {
  Ring there;
  Ring back;
  _Alignas(CACHE_LINE_PAIR) _Atomic bool stop;
  int cpu;  // of the echo
  _Alignas(CACHE_LINE_PAIR) End question;
  End reply;
} Exchange;

static uint32_t payload_bytes(uint32_t sequence) {
  static const uint32_t bytes[] = {8, 28, 60, 192};  // as bench/mix.ts
  return bytes[sequence % 4];
}

// The record that comes next begins at the start of the ring where it would not fit before its end: both ends
// know its size, so there is no padding record.
static unsigned char* next_record(End* end, uint32_t payload) {
  uint32_t room = room_at(end->position);
  if (LENGTH(payload) > room) end->position += room;
  return record_at(end->ring, end->position);
}

static void publish(End* end, uint32_t payload) {
  put(record_at(end->ring, end->position) + 4, 1);
  // PUBLISH; observed by await().
  atomic_store_explicit(size_word(end->ring, end->position), payload + HEADER, memory_order_release);
  end->position += LENGTH(payload);
}

// Waits for a record, and gives its payload; NULL when the exchange is over.
static unsigned char* await(End* end, uint32_t payload, _Atomic bool* stop) {
  unsigned char* record = next_record(end, payload);
  uint32_t size;
  // OBSERVE the publication by publish().
  while ((size = atomic_load_explicit((_Atomic uint32_t*)record, memory_order_acquire)) == 0) {
    if (end->reclaimed != end->position) {
      hand_back(end->ring, end->reclaimed, end->position);
      end->reclaimed = end->position;
    } else if (stop != NULL && atomic_load_explicit(stop, memory_order_relaxed)) {
      return NULL;
    }
  }
  if (size != payload + HEADER) {
    fprintf(stderr, "a message has a size of %u instead of %u\n", size, payload + HEADER);
    exit(1);
  }
  end->position += LENGTH(payload);
  return record + HEADER;
}

static void* echo(void* argument) {
  Exchange* exchange = argument;
  pin(exchange->cpu);
  End question = {&exchange->there, 0, 0};
  End reply = {&exchange->back, 0, 0};
  for (uint32_t sequence = 0;; sequence++) {
    uint32_t payload = payload_bytes(sequence);
    unsigned char* received = await(&question, payload, &exchange->stop);
    if (received == NULL) return NULL;
    memcpy(next_record(&reply, payload) + HEADER, received, payload);
    publish(&reply, payload);
  }
}

static int64_t round_trips(void* state, int64_t from, int64_t count) {
  Exchange* exchange = state;
  for (int64_t i = from; i < from + count; i++) {
    uint32_t sequence = (uint32_t)i;
    uint32_t payload = payload_bytes(sequence);
    stamp(next_record(&exchange->question, payload) + HEADER, payload, sequence);
    publish(&exchange->question, payload);
    verify(await(&exchange->reply, payload, NULL), payload, sequence);
  }
  return 0;
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  static Exchange exchange;
  exchange.cpu = plan.cpu[1];
  exchange.question.ring = &exchange.there;
  exchange.reply.ring = &exchange.back;

  pthread_t thread;
  errno = pthread_create(&thread, NULL, echo, &exchange);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, round_trips, &exchange);

  atomic_store_explicit(&exchange.stop, true, memory_order_relaxed);
  pthread_join(thread, NULL);
  return 0;
}
