#ifndef TCPSHM_ADDRESS_H_
#define TCPSHM_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace tcpshm {

/** An IPv4 or IPv6 address with its port, or the path of a Unix socket. */
struct SocketAddress {
  /** `host` is numeric; an IPv6 one may name its interface: fe80::1%eth0. */
  static SocketAddress Tcp(const std::string& host, uint16_t port);
  /** `syscall` is what the address is for, and what a path too long is reported as. */
  static SocketAddress Unix(const std::string& path, const char* syscall);
  static SocketAddress LocalOf(int fd);
  static SocketAddress PeerOf(int fd);

  /** '127.0.0.1:80', '[::1]:80', a path, or '' for a Unix socket without one. */
  std::string ToString() const;

  int family() const { return storage.ss_family; }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);
};

}  // namespace tcpshm

#endif  // TCPSHM_ADDRESS_H_
