#include "system.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "unique_fd.h"
#include "value.h"

namespace tcpshm {
namespace {

constexpr const char* kBootIdFile = "/proc/sys/kernel/random/boot_id";
constexpr size_t kUuidLength = 36;
constexpr size_t kMostCpus = 8192;  // the most that Linux can be built for
constexpr pid_t kThisThread = 0;
// Commands of membarrier(2), which older headers do not have, or by other names.
constexpr int kMembarrierGlobal = 1 << 0;
constexpr int kMembarrierGlobalExpedited = 1 << 1;
constexpr int kMembarrierRegisterGlobalExpedited = 1 << 2;
/** A store buffer drains by itself, in well under a microsecond; this also covers a processor that is
 * stalled. */
constexpr std::chrono::milliseconds kStoresDrain{10};

/** A set of processors of any number, unlike cpu_set_t, which ends at 1024. */
class CpuSet {
 public:
  CpuSet() : words_((kMostCpus + kWordBits - 1) / kWordBits) {}

  static CpuSet OfThisThread() {
    CpuSet set;
    if (::sched_getaffinity(kThisThread, set.size_bytes(), set.get()) != 0) {
      throw SystemFailure(errno, "sched_getaffinity");
    }
    return set;
  }
  void Apply() const {
    if (::sched_setaffinity(kThisThread, size_bytes(), const_cast<CpuSet*>(this)->get()) != 0) {
      throw SystemFailure(errno, "sched_setaffinity").Detail("wanted processors " + ToString());
    }
  }
  void Add(size_t cpu) { words_[cpu / kWordBits] |= 1UL << (cpu % kWordBits); }
  bool Has(size_t cpu) const { return (words_[cpu / kWordBits] >> (cpu % kWordBits) & 1UL) != 0; }
  std::string ToString() const {
    std::string text;
    for (size_t cpu = 0; cpu < kMostCpus; cpu++) {
      if (Has(cpu)) text += (text.empty() ? "" : ", ") + std::to_string(cpu);
    }
    return text;
  }

 private:
  static constexpr size_t kWordBits = 8 * sizeof(unsigned long);
  size_t size_bytes() const { return words_.size() * sizeof(unsigned long); }
  cpu_set_t* get() { return reinterpret_cast<cpu_set_t*>(words_.data()); }

  std::vector<unsigned long> words_;
};

}  // namespace

napi_value MonotonicMs(napi_env env, napi_callback_info) {
  timespec now;
  if (::clock_gettime(CLOCK_MONOTONIC, &now) != 0) throw SystemFailure(errno, "clock_gettime");
  return FromNumber(env, static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6);
}

napi_value SetAffinity(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  bool is_array = false;
  uint32_t count = 0;
  Check(napi_is_array(env, call.arguments[0], &is_array));
  if (!is_array) throw TypeFailure{"cpus must be an array of processor numbers"};
  Check(napi_get_array_length(env, call.arguments[0], &count));
  CpuSet wanted;
  for (uint32_t at = 0; at < count; at++) {
    napi_value element;
    Check(napi_get_element(env, call.arguments[0], at, &element));
    const double cpu = ToNumber(env, element, "each of cpus");
    if (!(cpu >= 0 && cpu < static_cast<double>(kMostCpus)) ||
        cpu != static_cast<double>(static_cast<size_t>(cpu))) {
      throw SystemFailure(EINVAL, "sched_setaffinity").Detail("no processor " + std::to_string(cpu));
    }
    wanted.Add(static_cast<size_t>(cpu));
  }

  // The kernel takes a set when it can have a part of it. Here it is all or nothing.
  const CpuSet before = CpuSet::OfThisThread();
  wanted.Apply();
  const CpuSet now = CpuSet::OfThisThread();
  CpuSet missing;
  for (size_t cpu = 0; cpu < kMostCpus; cpu++) {
    if (wanted.Has(cpu) && !now.Has(cpu)) missing.Add(cpu);
  }
  if (!missing.ToString().empty()) {
    before.Apply();
    throw SystemFailure(EINVAL, "sched_setaffinity")
        .Detail("wanted processors " + wanted.ToString() +
                ", these do not exist or are not for this process: " + missing.ToString());
  }
  return nullptr;
}

napi_value GetAffinity(napi_env env, napi_callback_info) {
  const CpuSet set = CpuSet::OfThisThread();
  napi_value cpus;
  uint32_t length = 0;
  Check(napi_create_array(env, &cpus));
  for (size_t cpu = 0; cpu < kMostCpus; cpu++) {
    if (set.Has(cpu))
      Check(napi_set_element(env, cpus, length++, FromInteger(env, static_cast<int32_t>(cpu))));
  }
  return cpus;
}

napi_value BootId(napi_env env, napi_callback_info) {
  const UniqueFd fd(RetryInterrupted([] { return ::open(kBootIdFile, O_RDONLY | O_CLOEXEC); }));
  if (!fd) throw SystemFailure(errno, "open").Path(kBootIdFile);
  std::string id(kUuidLength, '\0');
  const ssize_t length = RetryInterrupted([&] { return ::read(fd.get(), id.data(), id.size()); });
  if (length < 0) throw SystemFailure(errno, "read").Path(kBootIdFile);
  if (static_cast<size_t>(length) != kUuidLength) {
    throw SystemFailure(EIO, "read")
        .Path(kBootIdFile)
        .Detail("must have a UUID of " + std::to_string(kUuidLength) + " characters, has " +
                std::to_string(length));
  }
  return FromString(env, id);
}

napi_value Membarrier(napi_env, napi_callback_info) {
  if (::syscall(SYS_membarrier, kMembarrierGlobal, 0, 0) == 0) return nullptr;
  switch (errno) {
    case ENOSYS:  // a kernel built without it
    case EINVAL:  // processors that the kernel does not interrupt (nohz_full)
    case EPERM:   // a sandbox
      // No barrier then, but time: the stores of others that came before are out long before its end, and
      // so are ours.
      std::this_thread::sleep_for(kStoresDrain);
      return nullptr;
    default:
      throw SystemFailure(errno, "membarrier");
  }
}

napi_value RegisterBarrier(napi_env env, napi_callback_info) {
  return FromBoolean(env, ::syscall(SYS_membarrier, kMembarrierRegisterGlobalExpedited, 0, 0) == 0);
}

napi_value Barrier(napi_env env, napi_callback_info) {
  return FromBoolean(env, ::syscall(SYS_membarrier, kMembarrierGlobalExpedited, 0, 0) == 0);
}

}  // namespace tcpshm
