// The floor of everything that passes through a socket on this host: two threads, each on a core of its own,
// bounce messages of mixed sizes over a loopback connection with TCP_NODELAY. Both poll their non-blocking
// socket and never sleep. A round trip is two sends, two receives, and the kernel's way through the TCP
// stack.
//
//   cpu A                                          cpu B
//   send 16, 36, 68, 200, 16 … ──► [ kernel ] ──► receive, send the same bytes back
//   receive, compare           ◄── [ kernel ] ◄──

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limit.h"

static const size_t SIZES[] = {16, 36, 68, 200};  // the mix of bench/mix.ts, header included
#define SIZE_COUNT 4
#define MAX_SIZE 200

typedef struct {
  int fd;
  int cpu;
} Echo;

static void make_polled(int fd) {
  int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("setsockopt TCP_NODELAY");
  if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0) fail("fcntl O_NONBLOCK");
}

static void connect_pair(int pair[2]) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  pair[0] = socket(AF_INET, SOCK_STREAM, 0);
  if (listener < 0 || pair[0] < 0) fail("socket");
  if (bind(listener, (struct sockaddr*)&address, length) != 0) fail("bind");
  if (listen(listener, 1) != 0) fail("listen");
  if (getsockname(listener, (struct sockaddr*)&address, &length) != 0) fail("getsockname");
  if (connect(pair[0], (struct sockaddr*)&address, length) != 0) fail("connect");
  pair[1] = accept(listener, NULL, NULL);
  if (pair[1] < 0) fail("accept");
  close(listener);
  make_polled(pair[0]);
  make_polled(pair[1]);
}

static void send_all(int fd, const char* bytes, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent > 0) {
      bytes += sent;
      size -= (size_t)sent;
    } else if (errno != EAGAIN && errno != EINTR) {
      fail("send");
    }
  }
}

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
