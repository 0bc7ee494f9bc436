#include "private_file.h"

#include <unistd.h>

#include <cstdio>

#include "error.h"

namespace tcpshm {
namespace {

constexpr mode_t kOthers = S_IRWXG | S_IRWXO;

std::string Octal(mode_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "0%03o", static_cast<unsigned>(mode & 07777));
  return text;
}

}  // namespace

struct stat StatusOf(int fd, const std::string& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) throw SystemFailure(errno, "fstat").Path(path);
  return status;
}

void RequirePrivate(const struct stat& status, const std::string& path, const char* what, const char* mode) {
  if (status.st_uid != ::geteuid()) {
    throw SystemFailure(EPERM, "open")
        .Path(path)
        .Detail(std::string(what) + " must belong to user " + std::to_string(::geteuid()) +
                ", belongs to user " + std::to_string(status.st_uid));
  }
  if ((status.st_mode & kOthers) != 0) {
    throw SystemFailure(EACCES, "open")
        .Path(path)
        .Detail(std::string(what) + " must be closed to others, mode " + mode + ", has mode " +
                Octal(status.st_mode));
  }
}

}  // namespace tcpshm
