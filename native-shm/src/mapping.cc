#include "mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <limits>

#include "error.h"
#include "private_file.h"

namespace tcpshm {
namespace {

struct Location {
  std::string folder;
  std::string name;
};

Location Split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

UniqueFd OpenPrivateFolder(const std::string& folder) {
  UniqueFd fd(RetryInterrupted(
      [&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }));
  if (!fd) {
    const int number = errno;
    struct stat status;
    if (::lstat(folder.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
      throw SystemFailure(EACCES, "open")
          .Path(folder)
          .Detail("the folder must be a real one, is a symbolic link");
    }
    throw SystemFailure(number, "open").Path(folder);
  }
  // Nobody else may be able to put a file there: their truncation would be our SIGBUS.
  RequirePrivate(StatusOf(fd.get(), folder), folder, "the folder", "0700");
  return fd;
}

/** Gives every byte its place on the file system. */
void Reserve(int fd, size_t size_bytes, const std::string& path) {
  int number;
  do {
    number = ::posix_fallocate(fd, 0, static_cast<off_t>(size_bytes));
  } while (number == EINTR);
  if (number != 0) {
    throw SystemFailure(number, "fallocate")
        .Path(path)
        .Detail("wanted " + std::to_string(size_bytes) + " bytes");
  }
}

void RequireSize(size_t size_bytes, const std::string& path) {
  if (size_bytes == 0) {
    throw SystemFailure(EINVAL, "mmap").Path(path).Detail("wanted 0 bytes, the least is 1");
  }
}

struct flock ExclusiveRange(short type, off_t start, off_t length_bytes) {
  struct flock range{};  // l_pid must be 0 for locks of open file descriptions
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = start;
  range.l_len = length_bytes;
  return range;
}

}  // namespace

std::shared_ptr<Mapping> Mapping::Create(const std::string& path, size_t size_bytes) {
  RequireSize(size_bytes, path);
  const Location location = Split(path);
  if (location.name.empty()) throw SystemFailure(EISDIR, "open").Path(path);
  const UniqueFd folder = OpenPrivateFolder(location.folder);
  UniqueFd fd(RetryInterrupted([&] {
    return ::openat(folder.get(), location.name.c_str(), O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_RDWR,
                    kOwnerOnly);
  }));
  if (!fd) throw SystemFailure(errno, "open").Path(path);
  try {
    // The umask may have taken from the mode, and the next to open it needs both bits.
    if (::fchmod(fd.get(), kOwnerOnly) != 0) throw SystemFailure(errno, "fchmod").Path(path);
    Reserve(fd.get(), size_bytes, path);
    const ino_t inode = StatusOf(fd.get(), path).st_ino;
    return Map(std::move(fd), size_bytes, inode, path);
  } catch (...) {
    ::unlinkat(folder.get(), location.name.c_str(), 0);
    throw;
  }
}

std::shared_ptr<Mapping> Mapping::Open(const std::string& path, size_t least_bytes) {
  RequireSize(least_bytes, path);
  const Location location = Split(path);
  if (location.name.empty()) throw SystemFailure(EISDIR, "open").Path(path);
  // In the folder that was looked at, whatever its path leads to by now.
  const UniqueFd folder = OpenPrivateFolder(location.folder);
  // Not blocking: what stands there may turn out to be a pipe or a device.
  UniqueFd fd(RetryInterrupted([&] {
    return ::openat(folder.get(), location.name.c_str(),
                    O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  }));
  if (!fd) throw SystemFailure(errno, "open").Path(path);
  const struct stat status = StatusOf(fd.get(), path);
  if (!S_ISREG(status.st_mode)) {
    throw SystemFailure(EINVAL, "open").Path(path).Detail("must be a regular file");
  }
  RequirePrivate(status, path, "the file", "0600");
  const size_t size_bytes = static_cast<size_t>(status.st_size);
  if (size_bytes < least_bytes) {
    throw SystemFailure(EINVAL, "mmap")
        .Path(path)
        .Detail("must have at least " + std::to_string(least_bytes) + " bytes, has " +
                std::to_string(size_bytes));
  }
  constexpr size_t kBlockBytes = 512;  // the unit of st_blocks, whatever the file system's own
  if (static_cast<size_t>(status.st_blocks) * kBlockBytes < size_bytes) Reserve(fd.get(), size_bytes, path);
  return Map(std::move(fd), size_bytes, status.st_ino, path);
}

std::shared_ptr<Mapping> Mapping::Map(UniqueFd fd, size_t size_bytes, ino_t inode, const std::string& path) {
  auto file = std::make_shared<const UniqueFd>(std::move(fd));
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file->get(), 0);
  if (data == MAP_FAILED) {
    throw SystemFailure(errno, "mmap").Path(path).Detail("wanted " + std::to_string(size_bytes) + " bytes");
  }
  std::shared_ptr<Mapping> mapping(new Mapping(std::move(file), data, size_bytes, inode, path));
  mapping->guard_.Guard(data, size_bytes);
  return mapping;
}

bool Mapping::IsLost() const {
  if (guard_.lost()) return true;
  if (!file_ || data_ == nullptr) return false;
  return static_cast<size_t>(StatusOf(file_->get(), path_).st_size) < size_bytes_;
}

std::shared_ptr<const UniqueFd> Mapping::ShareFile(const char* syscall) const {
  if (!file_) throw SystemFailure(EBADF, syscall).Path(path_).Detail("the file is closed");
  return file_;
}

int Mapping::OpenFile(const char* syscall) const { return ShareFile(syscall)->get(); }

bool Mapping::Lock(off_t start, off_t length_bytes) {
  struct flock range = ExclusiveRange(F_WRLCK, start, length_bytes);
  const int fd = OpenFile("fcntl");
  if (RetryInterrupted([&] { return ::fcntl(fd, F_OFD_SETLK, &range); }) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  throw SystemFailure(errno, "fcntl").Path(path_);
}

void Mapping::Unlock(off_t start, off_t length_bytes) {
  struct flock range = ExclusiveRange(F_UNLCK, start, length_bytes);
  const int fd = OpenFile("fcntl");
  if (RetryInterrupted([&] { return ::fcntl(fd, F_OFD_SETLK, &range); }) != 0) {
    throw SystemFailure(errno, "fcntl").Path(path_);
  }
}

bool Mapping::IsLocked(off_t start, off_t length_bytes) const {
  struct flock range = ExclusiveRange(F_WRLCK, start, length_bytes);
  const int fd = OpenFile("fcntl");
  if (RetryInterrupted([&] { return ::fcntl(fd, F_OFD_GETLK, &range); }) != 0) {
    throw SystemFailure(errno, "fcntl").Path(path_);
  }
  return range.l_type != F_UNLCK;
}

void Mapping::Sync() const {
  const int fd = OpenFile("fdatasync");
  if (RetryInterrupted([&] { return ::fdatasync(fd); }) != 0) {
    throw SystemFailure(errno, "fdatasync").Path(path_);
  }
}

void Mapping::WriteOut() const {
  const int fd = OpenFile("sync_file_range");
  if (::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) != 0) {
    throw SystemFailure(errno, "sync_file_range").Path(path_);
  }
}

void Mapping::CloseFile() {
  if (!file_) return;
  // Locks belong to the open file description: they would last as long as a share, or as a process that was
  // forked and has not executed yet.
  constexpr off_t kToTheEnd = 0;
  struct flock everything = ExclusiveRange(F_UNLCK, 0, kToTheEnd);
  ::fcntl(file_->get(), F_OFD_SETLK, &everything);
  file_.reset();
}

void Mapping::Close() {
  guard_.Release();
  if (data_ != nullptr) ::munmap(std::exchange(data_, nullptr), size_bytes_);
  CloseFile();
}

void Mapping::RemoveFile() { ::unlink(path_.c_str()); }

}  // namespace tcpshm
