#include "doorbell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "error.h"
#include "private_file.h"

namespace tcpshm {
namespace {

constexpr int kPipeFlags = O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;

/**
 * Pages that a pipe must hold. Usually it holds 16, and a user who has over a thousand pipes gets ones of
 * two, or of one before Linux 5.14. A pipe of tokens is full when the last of its pages is filled, and those
 * before are, while of the first all but one token may have been taken. So one of two pages is full with 1025
 * tokens at least (FULL_DOORBELL_TOKENS in lib/memory/native.ts), which tells whoever answers it.
 */
constexpr int kLeastPages = 2;

/**
 * Writing to a pipe that nobody reads raises SIGPIPE in the writing thread, and unlike send(2) write(2) has
 * no flag against it (pwritev2 does, since Linux 6.18). Node ignores the signal only until somebody has
 * listened for it: when the last listener has gone, it kills. So it is blocked for the moment, and taken if
 * it came.
 */
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    if (sigismember(&before_, SIGPIPE) == 1) {
      sigset_t pending;
      sigemptyset(&pending);
      ::sigpending(&pending);
      was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    }
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;
  ~SigpipeBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  /** After EPIPE. One that was pending before is somebody else's, and has swallowed ours. */
  void Take() const {
    if (was_pending_) return;
    const timespec now{};
    RetryInterrupted([&] { return ::sigtimedwait(&sigpipe_, nullptr, &now); });
  }

 private:
  sigset_t sigpipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

void RequireDoorbell(const struct stat& status, const std::string& path) {
  if (S_ISLNK(status.st_mode)) throw SystemFailure(ELOOP, "open").Path(path);
  if (!S_ISFIFO(status.st_mode)) {
    throw SystemFailure(EINVAL, "open").Path(path).Detail("must be a named pipe");
  }
  RequirePrivate(status, path, "the doorbell", "0600");
}

void RequireRoom(int fd, const std::string& path) {
  const int least_bytes = kLeastPages * static_cast<int>(::sysconf(_SC_PAGESIZE));
  const int size_bytes = ::fcntl(fd, F_GETPIPE_SZ);
  if (size_bytes < 0 || (size_bytes < least_bytes && ::fcntl(fd, F_SETPIPE_SZ, least_bytes) < 0)) {
    throw SystemFailure(errno, "fcntl")
        .Path(path)
        .Detail("wanted a pipe of " + std::to_string(least_bytes) + " bytes, has " +
                std::to_string(size_bytes));
  }
}

/** For reading, so that there is one who answers, and for writing, so that it never reads an end of file. */
UniqueFd OpenOwn(const BoundPath& bound) {
  UniqueFd fd(RetryInterrupted([&] { return ::open(bound.path.c_str(), O_RDWR | kPipeFlags); }));
  if (!fd) throw SystemFailure(errno, "open").Path(bound.path);
  const struct stat status = StatusOf(fd.get(), bound.path);
  RequireDoorbell(status, bound.path);
  if (status.st_dev != bound.device || status.st_ino != bound.inode) {
    throw SystemFailure(EEXIST, "open")
        .Path(bound.path)
        .Detail("somebody has put another pipe there meanwhile");
  }
  RequireRoom(fd.get(), bound.path);
  return fd;
}

}  // namespace

std::unique_ptr<Doorbell> Doorbell::Create(const std::string& path) {
  if (::mkfifo(path.c_str(), kOwnerOnly) != 0) throw SystemFailure(errno, "mkfifo").Path(path);
  const BoundPath bound = BoundPath::OwnerOnly(path);
  try {
    return std::unique_ptr<Doorbell>(new Doorbell(OpenOwn(bound), path, bound));
  } catch (...) {
    bound.Remove();
    throw;
  }
}

std::unique_ptr<Doorbell> Doorbell::Open(const std::string& path) {
  // Looked at before it is opened: opening a device can do things, and ENXIO has other causes elsewhere.
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return nullptr;
    throw SystemFailure(errno, "lstat").Path(path);
  }
  RequireDoorbell(status, path);
  UniqueFd fd(RetryInterrupted([&] { return ::open(path.c_str(), O_WRONLY | kPipeFlags); }));
  if (!fd) {
    if (errno == ENOENT || errno == ENXIO) return nullptr;
    throw SystemFailure(errno, "open").Path(path);
  }
  RequireDoorbell(StatusOf(fd.get(), path), path);
  return std::unique_ptr<Doorbell>(new Doorbell(std::move(fd), path, std::nullopt));
}

int Doorbell::OpenFile(const char* syscall) const {
  if (!fd_) throw SystemFailure(EBADF, syscall).Path(path_).Detail("the doorbell is closed");
  return fd_.get();
}

bool Doorbell::Ring(uint32_t token) {
  const int fd = OpenFile("write");
  int failure = 0;
  {
    const SigpipeBlocked blocked;
    if (RetryInterrupted([&] { return ::write(fd, &token, sizeof token); }) >= 0) return true;
    failure = errno;
    if (failure == EPIPE) blocked.Take();
  }
  if (failure == EPIPE || failure == EAGAIN || failure == EWOULDBLOCK) return false;
  throw SystemFailure(failure, "write").Path(path_);
}

size_t Doorbell::Answer(uint32_t* tokens, size_t most) {
  const int fd = OpenFile("read");
  if (!owned_) throw SystemFailure(EBADF, "read").Path(path_).Detail("only its owner answers a doorbell");
  const ssize_t length = RetryInterrupted([&] { return ::read(fd, tokens, most * sizeof *tokens); });
  if (length < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    throw SystemFailure(errno, "read").Path(path_);
  }
  const size_t count = static_cast<size_t>(length) / sizeof *tokens;
  if (count * sizeof *tokens != static_cast<size_t>(length)) {
    // Fewer than there was room for, so nothing is left: what comes next is whole again.
    throw SystemFailure(EPROTO, "read")
        .Path(path_)
        .Detail("somebody has written something else than tokens, " + std::to_string(length) + " bytes");
  }
  return count;
}

void Doorbell::Close() {
  if (bound_) bound_->Remove();
  bound_.reset();
  fd_.reset();
}

}  // namespace tcpshm
