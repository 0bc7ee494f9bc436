#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "error.h"

namespace tcpshm {
namespace {

constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);

std::string TcpText(const std::string& host, uint16_t port) {
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

SystemFailure NotNumeric(const std::string& host, uint16_t port) {
  return SystemFailure(EINVAL, "inet_pton")
      .Address(TcpText(host, port))
      .Detail("the host must be a numeric IPv4 or IPv6 address");
}

}  // namespace

SocketAddress SocketAddress::Tcp(const std::string& host, uint16_t port) {
  SocketAddress address;
  if (host.find('\0') != std::string::npos) throw NotNumeric("", port);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
    return address;
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  const size_t percent = host.find('%');
  if (::inet_pton(AF_INET6, host.substr(0, percent).c_str(), &v6->sin6_addr) != 1)
    throw NotNumeric(host, port);
  if (percent != std::string::npos) {
    v6->sin6_scope_id = ::if_nametoindex(host.c_str() + percent + 1);
    if (v6->sin6_scope_id == 0) {
      throw SystemFailure(errno, "if_nametoindex").Address(TcpText(host, port));
    }
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  address.length = sizeof *v6;
  return address;
}

SocketAddress SocketAddress::Unix(const std::string& path, const char* syscall) {
  SocketAddress address;
  auto* local = reinterpret_cast<sockaddr_un*>(&address.storage);
  constexpr size_t kMost = sizeof local->sun_path - 1;
  if (path.size() > kMost) {
    throw SystemFailure(ENAMETOOLONG, syscall)
        .Path(path)
        .Address(path)
        .Detail("the path of a Unix socket has at most " + std::to_string(kMost) + " bytes, this one has " +
                std::to_string(path.size()));
  }
  local->sun_family = AF_UNIX;
  std::memcpy(local->sun_path, path.c_str(), path.size() + 1);
  address.length = static_cast<socklen_t>(kPathOffset + path.size() + 1);
  return address;
}

SocketAddress SocketAddress::LocalOf(int fd) {
  SocketAddress address;
  if (::getsockname(fd, address.get(), &address.length) != 0) throw SystemFailure(errno, "getsockname");
  return address;
}

SocketAddress SocketAddress::PeerOf(int fd) {
  SocketAddress address;
  if (::getpeername(fd, address.get(), &address.length) != 0) throw SystemFailure(errno, "getpeername");
  return address;
}

std::string SocketAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  switch (storage.ss_family) {
    case AF_INET: {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
      if (::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text) == nullptr) {
        throw SystemFailure(errno, "inet_ntop");
      }
      return TcpText(text, ntohs(v4->sin_port));
    }
    case AF_INET6: {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
      if (::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text) == nullptr) {
        throw SystemFailure(errno, "inet_ntop");
      }
      std::string host = text;
      char name[IF_NAMESIZE];
      if (v6->sin6_scope_id != 0 && ::if_indextoname(v6->sin6_scope_id, name) != nullptr) {
        host += std::string("%") + name;
      }
      return TcpText(host, ntohs(v6->sin6_port));
    }
    case AF_UNIX: {
      if (length <= kPathOffset) return "";
      const auto* local = reinterpret_cast<const sockaddr_un*>(&storage);
      return std::string(local->sun_path, ::strnlen(local->sun_path, length - kPathOffset));
    }
    default:
      return "";
  }
}

}  // namespace tcpshm
