#ifndef TCPSHM_MAPPING_H_
#define TCPSHM_MAPPING_H_

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>

#include "guarded_range.h"
#include "unique_fd.h"

namespace tcpshm {

/**
 * A file in memory and its descriptor. The JavaScript object and the ArrayBuffer share it: memory must
 * outlive the buffer, and the locks the object. One thread.
 */
class Mapping {
 public:
  /**
   * Creates the file, exclusively, with all its space reserved: touching it can never raise SIGBUS. Its
   * folder must be a real one, of this user, closed to others (0700).
   */
  static std::shared_ptr<Mapping> Create(const std::string& path, size_t size_bytes);
  /**
   * Opens a regular file of this user, closed to others (0600), of at least this size, in such a folder; maps
   * all of it.
   */
  static std::shared_ptr<Mapping> Open(const std::string& path, size_t least_bytes);

  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { Close(); }

  void* data() const { return data_; }
  size_t size_bytes() const { return size_bytes_; }
  bool Has(const void* address) const {
    const auto* const first = static_cast<const char*>(data_);
    return data_ != nullptr && address >= first && address < first + size_bytes_;
  }
  const std::string& path() const { return path_; }
  /** What tells the file from any other of its file system, also after it was renamed or removed. */
  ino_t inode() const { return inode_; }

  /**
   * Whether a part of the file is gone: somebody has shortened it. Where that part was touched there are
   * zeroes now, of this process alone.
   */
  bool IsLost() const;
  /** From now on the aligned 32-bit word at this offset is set to 1 when what is gone was touched. */
  void TellLoss(size_t offset) { guard_.Tell(offset); }

  /** Open file description locks: they exclude within the process too, and die with the last descriptor. */
  bool Lock(off_t start, off_t length_bytes);
  void Unlock(off_t start, off_t length_bytes);
  bool IsLocked(off_t start, off_t length_bytes) const;

  /** Waits until what was written is on the disk. */
  void Sync() const;
  void WriteOut() const;
  /**
   * A share of the descriptor, for a sync in another thread: its number stays taken until the last share has
   * gone, so nobody's file is synced in place of this one.
   */
  std::shared_ptr<const UniqueFd> ShareFile(const char* syscall) const;

  /** Frees the locks and gives up the descriptor, which closes with its last share; the memory stays. */
  void CloseFile();
  /** Also unmaps. Twice is harmless. */
  void Close();
  /** Removes the file that Create made, when what follows has failed. */
  void RemoveFile();

 private:
  Mapping(std::shared_ptr<const UniqueFd> file, void* data, size_t size_bytes, ino_t inode, std::string path)
      : file_(std::move(file)), data_(data), size_bytes_(size_bytes), inode_(inode), path_(std::move(path)) {}
  static std::shared_ptr<Mapping> Map(UniqueFd fd, size_t size_bytes, ino_t inode, const std::string& path);
  int OpenFile(const char* syscall) const;

  std::shared_ptr<const UniqueFd> file_;  // none once closed
  void* data_;
  size_t size_bytes_;
  ino_t inode_;
  std::string path_;
  GuardedRange guard_;
};

}  // namespace tcpshm

#endif  // TCPSHM_MAPPING_H_
