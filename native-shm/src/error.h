#ifndef TCPSHM_ERROR_H_
#define TCPSHM_ERROR_H_

#include <node_api.h>

#include <cerrno>
#include <string>

namespace tcpshm {

/** A failed system call: becomes a JavaScript Error with code, errno, syscall, and path or address. */
struct SystemFailure {
  SystemFailure(int number_, const char* syscall_) : number(number_), syscall(syscall_) {}

  SystemFailure& Path(std::string value) {
    path = std::move(value);
    return *this;
  }
  SystemFailure& Address(std::string value) {
    address = std::move(value);
    return *this;
  }
  /** What was expected and what came; ends the message, in brackets. */
  SystemFailure& Detail(std::string value) {
    detail = std::move(value);
    return *this;
  }

  int number;
  const char* syscall;
  std::string path;
  std::string address;
  std::string detail;
};

/** An argument of the wrong type: becomes a TypeError. */
struct TypeFailure {
  std::string message;
};

/** An argument of the right type and a wrong value: becomes a RangeError. */
struct RangeFailure {
  std::string message;
};

/** Something that is wrong in another way: becomes an Error with this code. */
struct CodeFailure {
  const char* code;
  std::string message;
};

/** An N-API call that did not succeed. What it threw stays pending; what threw nothing becomes an Error. */
struct ApiFailure {
  napi_status status;
};

inline void Check(napi_status status) {
  if (__builtin_expect(status != napi_ok, 0)) throw ApiFailure{status};
}

/** Only inside a catch block: turns the C++ exception in flight into a pending JavaScript exception. */
void ThrowIntoJavaScript(napi_env env) noexcept;

/** A callback for N-API out of a function that may throw. C++ exceptions end here. */
template <napi_value (*Function)(napi_env, napi_callback_info)>
napi_value Guarded(napi_env env, napi_callback_info info) noexcept {
  try {
    return Function(env, info);
  } catch (...) {
    ThrowIntoJavaScript(env);
    return nullptr;
  }
}

/** Repeats a system call while signals interrupt it. */
template <typename Call>
auto RetryInterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace tcpshm

#endif  // TCPSHM_ERROR_H_
