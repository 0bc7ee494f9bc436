#include "epoll.h"

#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "environment.h"
#include "loop_watch.h"
#include "unique_fd.h"
#include "value.h"

namespace tcpshm {
namespace {

constexpr int64_t kReadable = 1;
constexpr int64_t kWritable = 2;
constexpr int64_t kEnded = 4;
constexpr int64_t kConditions = kReadable | kWritable | kEnded;
constexpr int64_t kOnce = 8;
constexpr size_t kMostEvents =
    256;  // of one wait; those beyond come with the next, as the kernel rotates them
constexpr size_t kWordsPerEvent = 2;

/**
 * A long wait is cut into slices, and between them the thread asks whether it is to end. Without that,
 * terminating a parked worker, or process.exit() beside one, would wait for ever: neither interrupts a system
 * call.
 */
constexpr std::chrono::milliseconds kSlice{500};

struct Epoll {
  static constexpr ClassId kId = ClassId::kEpoll;
  static constexpr const char* kName = "Epoll";
  static constexpr napi_type_tag kTag{0x7463707368eb4d03, 0xa4de1f7792c34bb5};

  int Open(const char* syscall) const {
    if (!fd) throw SystemFailure(EBADF, syscall).Detail("the epoll is closed");
    return fd.get();
  }
  UniqueFd fd;
  std::shared_ptr<LoopWatch> watch;  // none while the event loop does not watch
  bool keeps_loop_alive = true;
};

napi_value Descriptor(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromInteger(env, UnwrapChecked<Epoll>(env, call.self).fd.get());
}

int ToDescriptor(napi_env env, napi_value value) {
  return static_cast<int>(ToInteger(env, value, "fd", 0, std::numeric_limits<int>::max()));
}

/** What epoll_ctl shall look for. */
uint32_t ToConditions(napi_env env, napi_value value) {
  const int64_t interest = ToInteger(env, value, "interest", kReadable, kConditions | kOnce);
  if ((interest & kConditions) == 0) {
    throw RangeFailure{"interest must be 1 to 7, and 8 more for once, is " + std::to_string(interest)};
  }
  return ((interest & kReadable) != 0 ? EPOLLIN : 0U) | ((interest & kWritable) != 0 ? EPOLLOUT : 0U) |
         ((interest & kEnded) != 0 ? EPOLLRDHUP : 0U) | ((interest & kOnce) != 0 ? EPOLLONESHOT : 0U);
}

void Control(napi_env env, const Call<3>& call, int operation) {
  const int fd = ToDescriptor(env, call.arguments[0]);
  const int64_t token = ToInteger(env, call.arguments[1], "token", 0, std::numeric_limits<uint32_t>::max());
  epoll_event event{};
  event.events = ToConditions(env, call.arguments[2]);
  event.data.u32 = static_cast<uint32_t>(token);
  if (::epoll_ctl(Unwrap<Epoll>(env, call.self).Open("epoll_ctl"), operation, fd, &event) != 0) {
    throw SystemFailure(errno, "epoll_ctl").Detail("descriptor " + std::to_string(fd));
  }
}

napi_value Add(napi_env env, napi_callback_info info) {
  Control(env, Call<3>(env, info), EPOLL_CTL_ADD);
  return nullptr;
}

napi_value Modify(napi_env env, napi_callback_info info) {
  Control(env, Call<3>(env, info), EPOLL_CTL_MOD);
  return nullptr;
}

napi_value Remove(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const int fd = ToDescriptor(env, call.arguments[0]);
  if (::epoll_ctl(Unwrap<Epoll>(env, call.self).Open("epoll_ctl"), EPOLL_CTL_DEL, fd, nullptr) != 0) {
    throw SystemFailure(errno, "epoll_ctl").Detail("descriptor " + std::to_string(fd));
  }
  return nullptr;
}

/** Whether this thread is being terminated: then calls that could run JavaScript are refused. */
bool IsEnding(napi_env env, napi_value any) {
  bool equal = false;
  return napi_strict_equals(env, any, any, &equal) != napi_ok;
}

/** Milliseconds, rounded up so that a wait never ends early; -1 for ever. */
int ToTimeoutMs(napi_env env, napi_value value) {
  const double timeout_ms = ToNumber(env, value, "timeoutMs");
  if (timeout_ms == -1) return -1;
  if (!(timeout_ms >= 0)) {
    throw RangeFailure{"timeoutMs must be -1 or at least 0, is " + std::to_string(timeout_ms)};
  }
  return static_cast<int>(std::min<double>(std::ceil(timeout_ms), std::numeric_limits<int>::max()));
}

int WaitSliced(napi_env env, napi_value self, int fd, epoll_event* events, int most, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  using std::chrono::milliseconds;
  if (timeout_ms >= 0 && timeout_ms <= kSlice.count()) return ::epoll_wait(fd, events, most, timeout_ms);
  const Clock::time_point end = Clock::now() + milliseconds(timeout_ms);
  for (;;) {
    milliseconds slice = kSlice;
    if (timeout_ms >= 0) {
      const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
      slice = std::max(milliseconds(0), std::min(left, kSlice));
    }
    const int ready = ::epoll_wait(fd, events, most, static_cast<int>(slice.count()));
    if (ready != 0 || IsEnding(env, self)) return ready;
    if (timeout_ms >= 0 && Clock::now() >= end) return 0;
  }
}

napi_value Wait(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  size_t length = 0;
  auto* const pairs = static_cast<uint32_t*>(
      ToElements(env, call.arguments[0], napi_uint32_array, "events must be a Uint32Array", &length));
  const size_t most = std::min(length / kWordsPerEvent, kMostEvents);
  if (most == 0)
    throw RangeFailure{"events must have room for one pair, has " + std::to_string(length) + " words"};
  const int timeout_ms = ToTimeoutMs(env, call.arguments[1]);
  const int fd = Unwrap<Epoll>(env, call.self).Open("epoll_wait");

  epoll_event events[kMostEvents];
  const int count = WaitSliced(env, call.self, fd, events, static_cast<int>(most), timeout_ms);
  if (count < 0) {
    if (errno != EINTR) throw SystemFailure(errno, "epoll_wait");
    return FromInteger(env, 0);
  }
  for (int at = 0; at < count; at++) {
    const uint32_t ready = events[at].events;
    pairs[kWordsPerEvent * at] = events[at].data.u32;
    pairs[kWordsPerEvent * at + 1] =
        ((ready & EPOLLIN) != 0 ? static_cast<uint32_t>(kReadable) : 0U) |
        ((ready & EPOLLOUT) != 0 ? static_cast<uint32_t>(kWritable) : 0U) |
        ((ready & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0 ? static_cast<uint32_t>(kEnded) : 0U);
  }
  return FromInteger(env, count);
}

napi_value Watch(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Epoll& epoll = Unwrap<Epoll>(env, call.self);
  RequireFunction(env, call.arguments[0], "ready");
  const int fd = epoll.Open("epoll_ctl");
  if (epoll.watch)
    throw SystemFailure(EEXIST, "epoll_ctl").Detail("the event loop watches this epoll already");
  epoll.watch = LoopWatch::Start(env, fd, call.self, call.arguments[0]);
  epoll.watch->KeepLoopAlive(epoll.keeps_loop_alive);
  return nullptr;
}

void StopWatch(Epoll& epoll) {
  if (epoll.watch) epoll.watch->Stop();
  epoll.watch.reset();
}

napi_value Unwatch(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  StopWatch(Unwrap<Epoll>(env, call.self));
  return nullptr;
}

template <bool kKeep>
napi_value KeepLoopAlive(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Epoll& epoll = Unwrap<Epoll>(env, call.self);
  epoll.keeps_loop_alive = kKeep;
  if (epoll.watch) epoll.watch->KeepLoopAlive(kKeep);
  return nullptr;
}

napi_value Close(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Epoll& epoll = Unwrap<Epoll>(env, call.self);
  StopWatch(epoll);
  epoll.fd.reset();
  return nullptr;
}

}  // namespace

napi_value CreateEpoll(napi_env env, napi_callback_info) {
  auto epoll = std::make_unique<Epoll>();
  epoll->fd = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll->fd) throw SystemFailure(errno, "epoll_create");
  return Wrap(env, std::move(epoll));
}

void DefineEpoll(napi_env env) {
  const napi_property_descriptor properties[] = {
      Accessor<Descriptor>("fd"),
      Method<Add>("add"),
      Method<Modify>("modify"),
      Method<Remove>("remove"),
      Method<Wait>("wait"),
      Method<Close>("close"),
      Method<Watch>("watch"),
      Method<Unwatch>("unwatch"),
      Method<KeepLoopAlive<true>>("ref"),
      Method<KeepLoopAlive<false>>("unref"),
  };
  DefineClass<Epoll>(env, properties, std::size(properties));
}

}  // namespace tcpshm
