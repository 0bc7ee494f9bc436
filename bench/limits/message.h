// The messages of bench/mix.ts: numbered, and filled with words that follow from the number. Most are stamped
// once per cache line and at the end; the first four of every 256 are written and compared whole.

#ifndef TCPSHM_BENCH_MESSAGE_H
#define TCPSHM_BENCH_MESSAGE_H

#include <stdbool.h>

#include "limit.h"

#define WHOLE_EVERY 256
#define WHOLE 4
#define STRIDE 64
#define WORD 4

static inline uint32_t word(uint32_t sequence, uint32_t at) { return sequence * 0x9e3779b1u + at; }

static inline uint32_t stride(uint32_t sequence) { return sequence % WHOLE_EVERY < WHOLE ? WORD : STRIDE; }

static inline void put(unsigned char* at, uint32_t value) { memcpy(at, &value, sizeof value); }

static inline uint32_t get(const unsigned char* at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline void stamp(unsigned char* payload, uint32_t bytes, uint32_t sequence) {
  put(payload, sequence);
  uint32_t step = stride(sequence);
  for (uint32_t i = step; i < bytes; i += step) put(payload + i, word(sequence, i));
  put(payload + bytes - WORD, word(sequence, bytes - WORD));
}

// Ends the process unless this is message `sequence`.
static inline void verify(const unsigned char* payload, uint32_t bytes, uint32_t sequence) {
  uint32_t step = stride(sequence);
  bool good = get(payload) == sequence;
  for (uint32_t i = step; i < bytes; i += step) good &= get(payload + i) == word(sequence, i);
  if (good && get(payload + bytes - WORD) == word(sequence, bytes - WORD)) return;
  fprintf(stderr, "message %u arrived wrong\n", sequence);
  exit(1);
}

// As bench/tally.ts does.
static inline uint32_t add(uint32_t checksum, const unsigned char* payload, uint32_t bytes) {
  return checksum * 31 + get(payload + bytes - WORD);
}

#endif
