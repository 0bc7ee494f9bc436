#ifndef TCPSHM_UNIQUE_FD_H_
#define TCPSHM_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace tcpshm {

/** Owns a file descriptor. */
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = other.release();
    }
    return *this;
  }
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  /** Never repeated after EINTR: Linux has released the number by then, and another thread may have it. */
  void reset() {
    if (fd_ >= 0) ::close(release());
  }

 private:
  int fd_ = -1;
};

}  // namespace tcpshm

#endif  // TCPSHM_UNIQUE_FD_H_
