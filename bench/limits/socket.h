// A connection over loopback whose ends are polled.

#ifndef TCPSHM_BENCH_SOCKET_H
#define TCPSHM_BENCH_SOCKET_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "limit.h"

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

#endif
