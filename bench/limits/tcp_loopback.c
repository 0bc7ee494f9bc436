// The floor of everything that passes through a socket on this host: two threads, each on a core of its own,
// bounce messages of mixed sizes over a loopback connection with TCP_NODELAY. Both poll their non-blocking
// socket and never sleep. A round trip is two sends, two receives, and the kernel's way through the TCP
// stack.
//
//   cpu A                                          cpu B
//   send 16, 36, 68, 200, 16 … ──► [ kernel ] ──► receive, send the same bytes back
//   receive, compare           ◄── [ kernel ] ◄──

#define _GNU_SOURCE

#include <stdbool.h>

#include "socket.h"

static const size_t SIZES[] = {16, 36, 68, 200};  // the mix of bench/mix.ts, header included
#define SIZE_COUNT 4
#define MAX_SIZE 200

typedef struct {
  int fd;
  int cpu;
} Echo;

// Polls until `size` bytes have come. False at the end of the stream.
static bool receive_all(int fd, char* bytes, size_t size) {
  while (size > 0) {
    ssize_t received = recv(fd, bytes, size, 0);
    if (received > 0) {
      bytes += received;
      size -= (size_t)received;
    } else if (received == 0) {
      return false;
    } else if (errno != EAGAIN && errno != EINTR) {
      fail("recv");
    }
  }
  return true;
}

static void* echo(void* argument) {
  Echo* side = argument;
  char message[MAX_SIZE];
  pin(side->cpu);
  for (uint64_t i = 0;; i++) {
    size_t size = SIZES[i % SIZE_COUNT];
    if (!receive_all(side->fd, message, size)) return NULL;
    send_all(side->fd, message, size);
  }
}

static int64_t bounce(void* state, int64_t from, int64_t round_trips) {
  int fd = *(int*)state;
  char sent[MAX_SIZE];
  char received[MAX_SIZE];
  for (int64_t i = from; i < from + round_trips; i++) {
    size_t size = SIZES[i % SIZE_COUNT];
    memset(sent, (int)i, size);
    memcpy(sent, &i, sizeof i);
    send_all(fd, sent, size);
    if (!receive_all(fd, received, size) || memcmp(sent, received, size) != 0) {
      fprintf(stderr, "message %lld did not come back as it was sent\n", (long long)i);
      exit(1);
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  Plan plan = parse_plan(argc, argv);
  int pair[2];
  connect_pair(pair);
  Echo side = {.fd = pair[1], .cpu = plan.cpu[1]};

  pthread_t thread;
  errno = pthread_create(&thread, NULL, echo, &side);
  if (errno != 0) fail("pthread_create");
  pin(plan.cpu[0]);
  measure(&plan, bounce, &pair[0]);

  shutdown(pair[0], SHUT_RDWR);
  pthread_join(thread, NULL);
  close(pair[0]);
  close(pair[1]);
  return 0;
}
