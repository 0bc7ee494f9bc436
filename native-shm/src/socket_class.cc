#include "socket_class.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <limits>
#include <optional>
#include <utility>

#include "environment.h"
#include "socket.h"
#include "value.h"

namespace tcpshm {
namespace {

constexpr int64_t kMostPort = 65535;
constexpr int64_t kMostInteger = std::numeric_limits<int>::max();
constexpr size_t kMostRanges = 3;

struct NativeSocket {
  static constexpr ClassId kId = ClassId::kSocket;
  static constexpr const char* kName = "NativeSocket";
  static constexpr napi_type_tag kTag{0x7463707368eb4d02, 0x8d13f6b0a7f24c11};

  std::shared_ptr<Socket> socket;  // with the functions that `receiver` and `sender` gave
};

Socket& Receiver(napi_env env, napi_value self) { return *Unwrap<NativeSocket>(env, self).socket; }

napi_value WrapSocket(napi_env env, std::unique_ptr<Socket> socket) {
  auto native = std::make_unique<NativeSocket>();
  native->socket = std::move(socket);
  return Wrap(env, std::move(native));
}

int ToInt(napi_env env, napi_value value, const char* name, int64_t least) {
  return static_cast<int>(ToInteger(env, value, name, least, kMostInteger));
}

napi_value Descriptor(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromInteger(env, UnwrapChecked<NativeSocket>(env, call.self).socket->fd());
}

napi_value Accept(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  std::unique_ptr<Socket> accepted = Receiver(env, call.self).Accept();
  return accepted ? WrapSocket(env, std::move(accepted)) : Null(env);
}

napi_value Connected(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromBoolean(env, Receiver(env, call.self).Connected());
}

/** Linux moves at most 2 GiB in one call, so a count fits. */
napi_value FromCount(napi_env env, ssize_t count) { return FromInteger(env, static_cast<int32_t>(count)); }

// send and receive run for every message: no allocation, and one N-API call for each thing to know.
napi_value Send(napi_env env, napi_callback_info info) {
  const Call<3 * kMostRanges> call(env, info);
  iovec ranges[kMostRanges];
  size_t count = 0;
  for (size_t at = 0; at == 0 || (at < 3 * kMostRanges && at < call.count); at += 3) {
    const napi_value* const argument = call.arguments + at;
    if (at > 0 && IsUndefined(env, argument[0])) continue;
    const Bytes bytes = ToRange(env, ToBytes(env, argument[0]), argument[1], argument[2]);
    if (bytes.length > 0) ranges[count++] = {bytes.data, bytes.length};
  }
  return FromCount(env, Receiver(env, call.self).Send(ranges, count));
}

napi_value Receive(napi_env env, napi_callback_info info) {
  const Call<3> call(env, info);
  const Bytes into = ToRange(env, ToBytes(env, call.arguments[0]), call.arguments[1], call.arguments[2]);
  return FromCount(env, Receiver(env, call.self).Receive(into.data, into.length));
}

/** What a function of `receiver` or `sender` works with, as long as it is there. */
struct Bound {
  std::shared_ptr<Socket> socket;
  Bytes bytes;
  napi_ref buffer;  // whose memory it is
};

ssize_t ReceiveInto(Socket& socket, Bytes range) { return socket.Receive(range.data, range.length); }

ssize_t SendFrom(Socket& socket, Bytes range) {
  const iovec vector{range.data, range.length};
  return socket.Send(&vector, 1);
}

/** Throws RangeFailure where the memory has been given to somebody else. */
void RequireAttached(napi_env env, napi_ref buffer) {
  napi_value value;
  bool detached = true;
  Check(napi_get_reference_value(env, buffer, &value));
  Check(napi_is_detached_arraybuffer(env, value, &detached));
  if (detached) throw RangeFailure{"the array has no bytes any more: its memory was transferred"};
}

// Of a call of `receive` this leaves out half: to find the object behind the receiver, and the memory behind
// an array.
template <ssize_t (*Move)(Socket&, Bytes)>
napi_value MoveBound(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  const Bound& bound = *static_cast<Bound*>(call.data);
  RequireAttached(env, bound.buffer);
  return FromCount(env, Move(*bound.socket, ToRange(env, bound.bytes, call.arguments[0], call.arguments[1])));
}

void Unbind(napi_env env, void* data, void*) noexcept {
  const std::unique_ptr<Bound> bound(static_cast<Bound*>(data));
  static_cast<void>(napi_delete_reference(env, bound->buffer));
}

/** A function that moves bytes between this socket and one array. */
template <ssize_t (*Move)(Socket&, Bytes)>
napi_value Bind(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const napi_value array = call.arguments[0];
  auto bound = std::make_unique<Bound>();
  bound->socket = Unwrap<NativeSocket>(env, call.self).socket;
  bound->bytes = ToBytes(env, array);
  napi_value buffer;
  Check(napi_get_typedarray_info(env, array, nullptr, nullptr, nullptr, &buffer, nullptr));
  napi_value function;
  Check(napi_create_function(env, nullptr, 0, Guarded<MoveBound<Move>>, bound.get(), &function));
  Check(napi_create_reference(env, buffer, 1, &bound->buffer));
  const napi_status status = napi_add_finalizer(env, function, bound.get(), Unbind, nullptr, nullptr);
  if (status != napi_ok) {
    static_cast<void>(napi_delete_reference(env, bound->buffer));
    throw ApiFailure{status};
  }
  bound.release();
  return function;
}

napi_value SetNoDelay(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const bool on = ToBoolean(env, call.arguments[0], "on");
  Receiver(env, call.self).SetOption(IPPROTO_TCP, TCP_NODELAY, on ? 1 : 0);
  return nullptr;
}

napi_value SetKeepAlive(napi_env env, napi_callback_info info) {
  const Call<4> call(env, info);
  const bool on = ToBoolean(env, call.arguments[0], "on");
  Socket& socket = Receiver(env, call.self);
  if (on) {
    const int idle = ToInt(env, call.arguments[1], "idleSeconds", 1);
    const int interval = ToInt(env, call.arguments[2], "intervalSeconds", 1);
    const int count = ToInt(env, call.arguments[3], "count", 1);
    socket.SetOption(IPPROTO_TCP, TCP_KEEPIDLE, idle);
    socket.SetOption(IPPROTO_TCP, TCP_KEEPINTVL, interval);
    socket.SetOption(IPPROTO_TCP, TCP_KEEPCNT, count);
  }
  socket.SetOption(SOL_SOCKET, SO_KEEPALIVE, on ? 1 : 0);
  return nullptr;
}

napi_value SetUserTimeout(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const int timeout_ms = ToInt(env, call.arguments[0], "timeoutMs", 0);
  Receiver(env, call.self).SetOption(IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
  return nullptr;
}

napi_value LocalAddress(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromString(env, Receiver(env, call.self).LocalAddress());
}

napi_value RemoteAddress(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromString(env, Receiver(env, call.self).RemoteAddress());
}

napi_value PeerCredentials(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const std::optional<ucred> credentials = Receiver(env, call.self).PeerCredentials();
  if (!credentials) return Null(env);
  napi_value object;
  Check(napi_create_object(env, &object));
  // Ids are unsigned, and all of them are exact as numbers.
  Check(napi_set_named_property(env, object, "pid", FromNumber(env, credentials->pid)));
  Check(napi_set_named_property(env, object, "uid", FromNumber(env, credentials->uid)));
  Check(napi_set_named_property(env, object, "gid", FromNumber(env, credentials->gid)));
  return object;
}

napi_value Release(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromInteger(env, Receiver(env, call.self).Release());
}

napi_value Close(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Receiver(env, call.self).Close();
  return nullptr;
}

SocketAddress ToTcpAddress(napi_env env, napi_value host_value, napi_value port_value) {
  const std::string host = ToString(env, host_value, "host");
  return SocketAddress::Tcp(host, static_cast<uint16_t>(ToInteger(env, port_value, "port", 0, kMostPort)));
}

}  // namespace

napi_value ListenTcp(napi_env env, napi_callback_info info) {
  const Call<3> call(env, info);
  const SocketAddress address = ToTcpAddress(env, call.arguments[0], call.arguments[1]);
  return WrapSocket(env, Socket::Listen(address, ToInt(env, call.arguments[2], "backlog", 0)));
}

napi_value ListenUnix(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  const SocketAddress address = SocketAddress::Unix(ToPath(env, call.arguments[0], "path"), "bind");
  return WrapSocket(env, Socket::Listen(address, ToInt(env, call.arguments[1], "backlog", 0)));
}

napi_value ConnectTcp(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  return WrapSocket(env, Socket::Connect(ToTcpAddress(env, call.arguments[0], call.arguments[1])));
}

napi_value ConnectUnix(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return WrapSocket(env,
                    Socket::Connect(SocketAddress::Unix(ToPath(env, call.arguments[0], "path"), "connect")));
}

napi_value Adopt(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return WrapSocket(env, Socket::Adopt(ToInt(env, call.arguments[0], "fd", 0)));
}

void DefineSocket(napi_env env) {
  const napi_property_descriptor properties[] = {
      Accessor<Descriptor>("fd"),
      Method<Accept>("accept"),
      Method<Connected>("connected"),
      Method<Send>("send"),
      Method<Receive>("receive"),
      Method<Bind<ReceiveInto>>("receiver"),
      Method<Bind<SendFrom>>("sender"),
      Method<SetNoDelay>("setNoDelay"),
      Method<SetKeepAlive>("setKeepAlive"),
      Method<SetUserTimeout>("setUserTimeout"),
      Method<LocalAddress>("localAddress"),
      Method<RemoteAddress>("remoteAddress"),
      Method<Release>("release"),
      Method<PeerCredentials>("peerCredentials"),
      Method<Close>("close"),
  };
  DefineClass<NativeSocket>(env, properties, std::size(properties));
}

}  // namespace tcpshm
