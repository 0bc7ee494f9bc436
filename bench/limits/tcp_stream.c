// The floor of everything that goes one way through a socket on this host: two threads, each on a core of its
// own, and a loopback connection that carries small frames, written 64 KiB at a time. Both poll their
// non-blocking socket and never sleep.
//
//   cpu A                                                             cpu B
//   write frames of -DFRAME bytes, send 64 KiB ──► [ kernel ] ──►     receive up to 64 KiB, verify each frame
//
// Frames are the messages of bench/mix.ts, and both sides check as much of them as is checked there.

#define _GNU_SOURCE

#include <stdatomic.h>

#include "message.h"
#include "socket.h"

#ifndef FRAME
#define FRAME 64
#endif

#define CHUNK (FRAME > 65536 ? FRAME : 65536 / FRAME * FRAME)

typedef struct {
  int fd[2];
  int cpu;  // of the receiver
  uint32_t checksum;
  _Alignas(CACHE_LINE_PAIR) uint32_t seen_checksum;    // of the receiver
  _Alignas(CACHE_LINE_PAIR) _Atomic int64_t verified;  // frames
  unsigned char chunk[2][CHUNK];
} Stream;

static void* take_all(void* argument) {
  Stream* stream = argument;
  pin(stream->cpu);
  unsigned char* chunk = stream->chunk[1];
  size_t kept = 0;
  int64_t verified = 0;
  for (;;) {
    ssize_t received = recv(stream->fd[1], chunk + kept, CHUNK - kept, 0);
    if (received == 0) return NULL;
    if (received < 0) {
      if (errno != EAGAIN && errno != EINTR) fail("recv");
      continue;
    }
    size_t size = kept + (size_t)received;
    size_t at = 0;
    for (; at + FRAME <= size; at += FRAME) {
      verify(chunk + at, FRAME, (uint32_t)verified);
      stream->seen_checksum = add(stream->seen_checksum, chunk + at, FRAME);
      verified++;
    }
    kept = size - at;
    memmove(chunk, chunk + at, kept);
    // TELL what was verified; observed by send_frames().
    atomic_store_explicit(&stream->verified, verified, memory_order_release);
  }
}

static int64_t send_frames(void* state, int64_t from, int64_t count) {
  Stream* stream = state;
  unsigned char* chunk = stream->chunk[0];
  size_t size = 0;
  for (int64_t i = from; i < from + count; i++) {
    stamp(chunk + size, FRAME, (uint32_t)i);
    stream->checksum = add(stream->checksum, chunk + size, FRAME);
    size += FRAME;
    if (size == CHUNK || i + 1 == from + count) {
      send_all(stream->fd[0], (char*)chunk, size);
      size = 0;
    }
  }
  // OBSERVE that all was verified, by take_all().
  while (atomic_load_explicit(&stream->verified, memory_order_acquire) < from + count) {
  }
  if (stream->checksum != stream->seen_checksum) {
    fprintf(stderr, "the checksums of %lld frames differ\n", (long long)(from + count));
    exit(1);
  }
  return 0;
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  static Stream stream;
  connect_pair(stream.fd);
  stream.cpu = plan.cpu[1];

  pthread_t thread;
  errno = pthread_create(&thread, NULL, take_all, &stream);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, send_frames, &stream);

  shutdown(stream.fd[0], SHUT_RDWR);
  pthread_join(thread, NULL);
  close(stream.fd[0]);
  close(stream.fd[1]);
  return 0;
}
