#include "bound_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "private_file.h"

namespace tcpshm {

BoundPath BoundPath::OwnerOnly(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) throw SystemFailure(errno, "lstat").Path(path);
  BoundPath bound{path, status.st_dev, status.st_ino};
  if ((status.st_mode & 07777) != kOwnerOnly && ::chmod(path.c_str(), kOwnerOnly) != 0) {
    const int number = errno;
    bound.Remove();
    throw SystemFailure(number, "chmod").Path(path);
  }
  return bound;
}

void BoundPath::Remove() const {
  struct stat status;
  if (::lstat(path.c_str(), &status) == 0 && status.st_dev == device && status.st_ino == inode) {
    ::unlink(path.c_str());
  }
}

}  // namespace tcpshm
