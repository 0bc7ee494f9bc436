#ifndef TCPSHM_SOCKET_H_
#define TCPSHM_SOCKET_H_

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "address.h"
#include "bound_path.h"
#include "unique_fd.h"

namespace tcpshm {

/** A non-blocking, close-on-exec stream socket. One thread at a time. */
class Socket {
 public:
  static std::unique_ptr<Socket> Listen(const SocketAddress& address, int backlog);
  static std::unique_ptr<Socket> Connect(const SocketAddress& address);
  /** Takes over what Release gave, in this thread or another. */
  static std::unique_ptr<Socket> Adopt(int fd);

  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { Close(); }

  int fd() const { return fd_.get(); }
  /** The next connection, or nothing when none waits. */
  std::unique_ptr<Socket> Accept();
  /** Throws what a connect has failed with, and again each time it is asked. */
  bool Connected();
  /** Both return the count, 0 for "not now"; Receive returns -1 at the end of the stream. */
  ssize_t Send(const iovec* ranges, size_t count);
  ssize_t Receive(void* into, size_t length);
  void SetOption(int level, int name, int value);
  std::string LocalAddress() const;
  std::string RemoteAddress() const;
  /** Of the process that connected, or listens, at the other end of a Unix socket; nothing for others. */
  std::optional<ucred> PeerCredentials() const;
  int Release();
  /** Twice is harmless. */
  void Close();

 private:
  enum class State { kUnknown, kListening, kConnecting, kConnected };

  Socket(UniqueFd fd, State state) : fd_(std::move(fd)), state_(state) {}
  static UniqueFd Make(const SocketAddress& address);
  int OpenFile(const char* syscall) const;
  [[noreturn]] void Fail(int number, const char* syscall);

  UniqueFd fd_;
  State state_;
  int connect_failure_ = 0;  // once reported by the kernel, it would not report it again
  std::optional<SocketAddress> peer_;
  std::optional<BoundPath> bound_;  // of a listening Unix socket
};

}  // namespace tcpshm

#endif  // TCPSHM_SOCKET_H_
