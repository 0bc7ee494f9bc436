#ifndef TCPSHM_DOORBELL_H_
#define TCPSHM_DOORBELL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bound_path.h"
#include "unique_fd.h"

namespace tcpshm {

/**
 * A named pipe of tokens: one end belongs to its owner, who made it and reads it, others only write. A token
 * is far smaller than PIPE_BUF, so it goes in as a whole or not at all. One thread.
 */
class Doorbell {
 public:
  static std::unique_ptr<Doorbell> Create(const std::string& path);
  /** None where nobody has one open: no file, or one whose owner has gone. */
  static std::unique_ptr<Doorbell> Open(const std::string& path);

  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;
  ~Doorbell() { Close(); }

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  /** False when it is full or its owner has gone. */
  bool Ring(uint32_t token);
  /** Takes up to `most` tokens. */
  size_t Answer(uint32_t* tokens, size_t most);
  /** Twice is harmless. */
  void Close();

 private:
  Doorbell(UniqueFd fd, std::string path, std::optional<BoundPath> bound)
      : fd_(std::move(fd)), path_(std::move(path)), bound_(std::move(bound)), owned_(bound_.has_value()) {}
  int OpenFile(const char* syscall) const;

  UniqueFd fd_;
  std::string path_;
  std::optional<BoundPath> bound_;  // the owner's, until it is closed
  bool owned_;
};

}  // namespace tcpshm

#endif  // TCPSHM_DOORBELL_H_
