#ifndef TCPSHM_BOUND_PATH_H_
#define TCPSHM_BOUND_PATH_H_

#include <sys/types.h>

#include <string>

namespace tcpshm {

/** The file that an object made, and removes in the end: by its path, so known by its inode. */
struct BoundPath {
  /**
   * The file that was just made there, with mode 0600. It may have come out otherwise: by the umask, which
   * belongs to the whole process and is not ours to change.
   */
  static BoundPath OwnerOnly(const std::string& path);

  /**
   * Before the descriptor is closed: as long as it is open the kernel keeps the inode, so that no other file
   * can have got its number. A path that somebody else has bound since then stays.
   */
  void Remove() const;

  std::string path;
  dev_t device;
  ino_t inode;
};

}  // namespace tcpshm

#endif  // TCPSHM_BOUND_PATH_H_
