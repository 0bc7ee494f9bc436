#include "socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>

#include <map>
#include <mutex>
#include <utility>

#include "error.h"
#include "private_file.h"

namespace tcpshm {
namespace {

SystemFailure AddressFailure(int number, const char* syscall, const SocketAddress& address) {
  SystemFailure failure(number, syscall);
  const std::string text = address.ToString();
  failure.Address(text);
  if (address.family() == AF_UNIX) failure.Path(text);
  return failure;
}

ino_t SocketInode(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw SystemFailure(errno, "fstat");
  return status.st_ino;
}

/**
 * The paths of listening Unix sockets that are between two owners: released by one thread, not yet adopted by
 * another. The only state that threads share.
 */
class ReleasedPaths {
 public:
  void Put(ino_t socket, BoundPath bound) {
    const std::lock_guard<std::mutex> guard(mutex_);
    paths_[socket] = std::move(bound);
  }
  std::optional<BoundPath> Take(ino_t socket) {
    const std::lock_guard<std::mutex> guard(mutex_);
    const auto entry = paths_.find(socket);
    if (entry == paths_.end()) return std::nullopt;
    BoundPath bound = std::move(entry->second);
    paths_.erase(entry);
    return bound;
  }

 private:
  std::mutex mutex_;
  std::map<ino_t, BoundPath> paths_;  // by the inode of the socket: a descriptor's number can be used again
};

ReleasedPaths& Released() {
  static ReleasedPaths* const paths = new ReleasedPaths();  // never destroyed: threads may outlive main()
  return *paths;
}

/** Nothing where it is not connected, or not any more. */
std::optional<SocketAddress> PeerIfThere(int fd) {
  SocketAddress peer;
  if (::getpeername(fd, peer.get(), &peer.length) != 0) return std::nullopt;
  return peer;
}

int IntegerOption(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  if (::getsockopt(fd, level, name, &value, &length) != 0) throw SystemFailure(errno, "getsockopt");
  return value;
}

}  // namespace

UniqueFd Socket::Make(const SocketAddress& address) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) throw AddressFailure(errno, "socket", address);
  return fd;
}

std::unique_ptr<Socket> Socket::Listen(const SocketAddress& address, int backlog) {
  std::unique_ptr<Socket> socket(new Socket(Make(address), State::kListening));
  const int fd = socket->fd();
  if (address.family() == AF_UNIX) {
    // Where the system honours this, the file is never open to others at all; where not, what
    // follows bind suffices.
    static_cast<void>(::fchmod(fd, kOwnerOnly));
  } else {
    socket->SetOption(SOL_SOCKET, SO_REUSEADDR, 1);
    if (address.family() == AF_INET6) socket->SetOption(IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }
  if (::bind(fd, address.get(), address.length) != 0) throw AddressFailure(errno, "bind", address);
  if (address.family() == AF_UNIX) {
    // Linux gives the file the mode of the socket's own inode, less the umask; neither is promised. After
    // bind and before listen, as until then every connect is refused whatever the mode.
    socket->bound_ = BoundPath::OwnerOnly(address.ToString());
  }
  if (::listen(fd, backlog) != 0) throw AddressFailure(errno, "listen", address);
  return socket;
}

std::unique_ptr<Socket> Socket::Connect(const SocketAddress& address) {
  std::unique_ptr<Socket> socket(new Socket(Make(address), State::kConnecting));
  socket->peer_ = address;
  if (::connect(socket->fd(), address.get(), address.length) == 0) {
    socket->state_ = State::kConnected;
  } else if (errno == EAGAIN) {
    throw AddressFailure(errno, "connect", address).Detail("the backlog of the listening socket is full");
  } else if (errno != EINPROGRESS && errno != EINTR) {  // interrupted, it goes on by itself
    throw AddressFailure(errno, "connect", address);
  }
  return socket;
}

std::unique_ptr<Socket> Socket::Adopt(int fd) {
  // Asked before it is owned: closing what is no socket would close a descriptor of somebody else.
  int type = 0;
  socklen_t length = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0) {
    throw SystemFailure(errno, "getsockopt").Detail("descriptor " + std::to_string(fd));
  }
  if (type != SOCK_STREAM) {
    throw SystemFailure(EPROTOTYPE, "getsockopt")
        .Detail("descriptor " + std::to_string(fd) + " must be a stream socket, has type " +
                std::to_string(type));
  }
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    throw SystemFailure(errno, "fcntl").Detail("descriptor " + std::to_string(fd));
  }
  const bool listening = IntegerOption(fd, SOL_SOCKET, SO_ACCEPTCONN) != 0;
  std::optional<BoundPath> bound;
  if (listening) bound = Released().Take(SocketInode(fd));
  std::unique_ptr<Socket> socket(new Socket(UniqueFd(fd), listening ? State::kListening : State::kUnknown));
  socket->bound_ = std::move(bound);
  if (!listening) socket->peer_ = PeerIfThere(fd);
  return socket;
}

int Socket::OpenFile(const char* syscall) const {
  if (!fd_) throw SystemFailure(EBADF, syscall).Detail("the socket is closed or released");
  return fd_.get();
}

/** Keeps the failure of a connect for Connected(): reporting it here has cleared it in the kernel. */
void Socket::Fail(int number, const char* syscall) {
  if (state_ == State::kConnecting && connect_failure_ == 0) connect_failure_ = number;
  if (peer_) throw AddressFailure(number, syscall, *peer_);
  throw SystemFailure(number, syscall);
}

std::unique_ptr<Socket> Socket::Accept() {
  const int listener = OpenFile("accept");
  for (;;) {
    SocketAddress peer;
    UniqueFd fd(::accept4(listener, peer.get(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      std::unique_ptr<Socket> socket(new Socket(std::move(fd), State::kConnected));
      socket->peer_ = peer;
      return socket;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return nullptr;
    // Gone before it was taken, or interrupted: look at the next.
    if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO) Fail(errno, "accept");
  }
}

bool Socket::Connected() {
  const int fd = OpenFile("connect");
  if (connect_failure_ != 0) Fail(connect_failure_, "connect");
  if (state_ == State::kConnected) return true;
  if (state_ == State::kListening) return false;
  pollfd query{fd, POLLOUT, 0};
  const int ready = RetryInterrupted([&] { return ::poll(&query, 1, 0); });
  if (ready < 0) Fail(errno, "poll");
  if (ready == 0) return false;
  connect_failure_ = IntegerOption(fd, SOL_SOCKET, SO_ERROR);
  if (connect_failure_ != 0) Fail(connect_failure_, "connect");
  SocketAddress peer;
  if (::getpeername(fd, peer.get(), &peer.length) != 0) {
    if (errno == ENOTCONN) return false;  // adopted, and never told to connect
    Fail(errno, "getpeername");
  }
  peer_ = peer;
  state_ = State::kConnected;
  return true;
}

ssize_t Socket::Send(const iovec* ranges, size_t count) {
  const int fd = OpenFile("send");
  ssize_t sent;
  if (count == 1) {
    sent = RetryInterrupted([&] { return ::send(fd, ranges->iov_base, ranges->iov_len, MSG_NOSIGNAL); });
  } else {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(ranges);  // the kernel only reads it
    message.msg_iovlen = count;
    sent = RetryInterrupted([&] { return ::sendmsg(fd, &message, MSG_NOSIGNAL); });
  }
  if (sent >= 0) return sent;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
  Fail(errno, "send");
}

ssize_t Socket::Receive(void* into, size_t length) {
  const int fd = OpenFile("recv");
  if (length == 0) return 0;  // recv would answer as at the end of the stream
  const ssize_t received = RetryInterrupted([&] { return ::recv(fd, into, length, 0); });
  if (received > 0) return received;
  if (received == 0) return -1;
  if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
  Fail(errno, "recv");
}

void Socket::SetOption(int level, int name, int value) {
  const int fd = OpenFile("setsockopt");
  if (::setsockopt(fd, level, name, &value, sizeof value) != 0) Fail(errno, "setsockopt");
}

std::string Socket::LocalAddress() const {
  return SocketAddress::LocalOf(OpenFile("getsockname")).ToString();
}

std::string Socket::RemoteAddress() const {
  const int fd = OpenFile("getpeername");
  try {
    return SocketAddress::PeerOf(fd).ToString();
  } catch (const SystemFailure&) {
    if (!peer_) throw;  // else known from before the peer reset the connection
    return peer_->ToString();
  }
}

std::optional<ucred> Socket::PeerCredentials() const {
  const int fd = OpenFile("getsockopt");
  if (IntegerOption(fd, SOL_SOCKET, SO_DOMAIN) != AF_UNIX) return std::nullopt;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    throw SystemFailure(errno, "getsockopt");
  }
  // That of a socket which is not connected. (The process id is 0 also for one of another namespace.)
  if (credentials.uid == static_cast<uid_t>(-1)) return std::nullopt;
  return credentials;
}

int Socket::Release() {
  const int fd = OpenFile("release");
  if (bound_) {
    Released().Put(SocketInode(fd), std::move(*bound_));
    bound_.reset();
  }
  return fd_.release();
}

void Socket::Close() {
  if (bound_) bound_->Remove();
  bound_.reset();
  fd_.reset();
}

}  // namespace tcpshm
