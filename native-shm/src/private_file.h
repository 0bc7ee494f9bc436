#ifndef TCPSHM_PRIVATE_FILE_H_
#define TCPSHM_PRIVATE_FILE_H_

#include <sys/stat.h>

#include <string>

namespace tcpshm {

constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

struct stat StatusOf(int fd, const std::string& path);

/**
 * Throws unless the file belongs to this user and is closed to all others. `what` names it in the message, as
 * `mode` does the mode that it should have.
 */
void RequirePrivate(const struct stat& status, const std::string& path, const char* what, const char* mode);

}  // namespace tcpshm

#endif  // TCPSHM_PRIVATE_FILE_H_
