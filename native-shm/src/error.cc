#include "error.h"

#include <cctype>
#include <cstring>
#include <exception>
#include <new>

namespace tcpshm {
namespace {

/** glibc has strerrorname_np only since 2.32, and musl not at all. */
const char* ErrnoName(int number) {
#define TCPSHM_NAME(name) \
  case name:              \
    return #name
  switch (number) {
    TCPSHM_NAME(E2BIG);
    TCPSHM_NAME(EACCES);
    TCPSHM_NAME(EADDRINUSE);
    TCPSHM_NAME(EADDRNOTAVAIL);
    TCPSHM_NAME(EAFNOSUPPORT);
    TCPSHM_NAME(EAGAIN);
    TCPSHM_NAME(EALREADY);
    TCPSHM_NAME(EBADF);
    TCPSHM_NAME(EBUSY);
    TCPSHM_NAME(ECONNABORTED);
    TCPSHM_NAME(ECONNREFUSED);
    TCPSHM_NAME(ECONNRESET);
    TCPSHM_NAME(EDEADLK);
    TCPSHM_NAME(EDESTADDRREQ);
    TCPSHM_NAME(EDQUOT);
    TCPSHM_NAME(EEXIST);
    TCPSHM_NAME(EFAULT);
    TCPSHM_NAME(EFBIG);
    TCPSHM_NAME(EHOSTDOWN);
    TCPSHM_NAME(EHOSTUNREACH);
    TCPSHM_NAME(EINPROGRESS);
    TCPSHM_NAME(EINTR);
    TCPSHM_NAME(EINVAL);
    TCPSHM_NAME(EIO);
    TCPSHM_NAME(EISCONN);
    TCPSHM_NAME(EISDIR);
    TCPSHM_NAME(ELOOP);
    TCPSHM_NAME(EMFILE);
    TCPSHM_NAME(EMLINK);
    TCPSHM_NAME(EMSGSIZE);
    TCPSHM_NAME(ENAMETOOLONG);
    TCPSHM_NAME(ENETDOWN);
    TCPSHM_NAME(ENETRESET);
    TCPSHM_NAME(ENETUNREACH);
    TCPSHM_NAME(ENFILE);
    TCPSHM_NAME(ENOBUFS);
    TCPSHM_NAME(ENODEV);
    TCPSHM_NAME(ENOENT);
    TCPSHM_NAME(ENOLCK);
    TCPSHM_NAME(ENOMEM);
    TCPSHM_NAME(ENOPROTOOPT);
    TCPSHM_NAME(ENOSPC);
    TCPSHM_NAME(ENOSYS);
    TCPSHM_NAME(ENOTCONN);
    TCPSHM_NAME(ENOTDIR);
    TCPSHM_NAME(ENOTSOCK);
    TCPSHM_NAME(ENOTSUP);
    TCPSHM_NAME(ENXIO);
    TCPSHM_NAME(EOVERFLOW);
    TCPSHM_NAME(EPERM);
    TCPSHM_NAME(EPIPE);
    TCPSHM_NAME(EPROTO);
    TCPSHM_NAME(EPROTONOSUPPORT);
    TCPSHM_NAME(EPROTOTYPE);
    TCPSHM_NAME(ERANGE);
    TCPSHM_NAME(EROFS);
    TCPSHM_NAME(ESRCH);
    TCPSHM_NAME(ESTALE);
    TCPSHM_NAME(ETIMEDOUT);
    TCPSHM_NAME(ETXTBSY);
    TCPSHM_NAME(EXDEV);
    default:
      return nullptr;
  }
#undef TCPSHM_NAME
}

/** strerror_r is one function in POSIX and another in glibc; the type of its result tells which one this is.
 */
[[maybe_unused]] const char* Described(int status, const char* buffer) {
  return status == 0 ? buffer : "unknown error";
}
[[maybe_unused]] const char* Described(const char* text, const char*) { return text; }

std::string Description(int number) {
  char buffer[128] = "";
  std::string text = Described(strerror_r(number, buffer, sizeof buffer), buffer);
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1]))) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

void SetString(napi_env env, napi_value object, const char* name, const std::string& text) {
  napi_value value;
  Check(napi_create_string_utf8(env, text.data(), text.size(), &value));
  Check(napi_set_named_property(env, object, name, value));
}

/** As node words them: "ENOENT: no such file or directory, open '/a/b' (what was expected)". */
void ThrowSystemFailure(napi_env env, const SystemFailure& failure) {
  const char* name = ErrnoName(failure.number);
  const std::string code = name != nullptr ? name : "E" + std::to_string(failure.number);
  std::string text = code + ": " + Description(failure.number) + ", " + failure.syscall;
  if (!failure.path.empty()) {
    text += " '" + failure.path + "'";
  } else if (!failure.address.empty()) {
    text += " " + failure.address;
  }
  if (!failure.detail.empty()) text += " (" + failure.detail + ")";

  napi_value code_value;
  napi_value message;
  napi_value error;
  napi_value number;
  Check(napi_create_string_utf8(env, code.data(), code.size(), &code_value));
  Check(napi_create_string_utf8(env, text.data(), text.size(), &message));
  Check(napi_create_error(env, code_value, message, &error));
  Check(napi_create_int32(env, failure.number, &number));
  Check(napi_set_named_property(env, error, "errno", number));
  SetString(env, error, "syscall", failure.syscall);
  if (!failure.path.empty()) SetString(env, error, "path", failure.path);
  if (!failure.address.empty()) SetString(env, error, "address", failure.address);
  Check(napi_throw(env, error));
}

void ThrowApiFailure(napi_env env, const ApiFailure& failure) {
  const napi_extended_error_info* info = nullptr;
  Check(napi_get_last_error_info(env, &info));
  std::string text = "native call failed";
  if (info != nullptr && info->error_code == failure.status && info->error_message != nullptr) {
    text += ": ";
    text += info->error_message;
  }
  text += " (status " + std::to_string(failure.status) + ")";
  bool pending = false;
  Check(napi_is_exception_pending(env, &pending));
  if (!pending) Check(napi_throw_error(env, "ERR_NATIVE_CALL", text.c_str()));
}

}  // namespace

void ThrowIntoJavaScript(napi_env env) noexcept {
  try {
    try {
      throw;
    } catch (const SystemFailure& failure) {
      ThrowSystemFailure(env, failure);
    } catch (const TypeFailure& failure) {
      Check(napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", failure.message.c_str()));
    } catch (const RangeFailure& failure) {
      Check(napi_throw_range_error(env, "ERR_OUT_OF_RANGE", failure.message.c_str()));
    } catch (const CodeFailure& failure) {
      Check(napi_throw_error(env, failure.code, failure.message.c_str()));
    } catch (const ApiFailure& failure) {
      ThrowApiFailure(env, failure);
    } catch (const std::bad_alloc&) {
      Check(napi_throw_error(env, "ENOMEM", "ENOMEM: not enough memory"));
    } catch (const std::exception& failure) {
      Check(napi_throw_error(env, "ERR_NATIVE_CALL", failure.what()));
    }
  } catch (const ApiFailure&) {
    // The thread is being terminated and takes no exception any more; no JavaScript runs after this.
  } catch (const std::bad_alloc&) {
    // No memory even for the error: the call returns undefined.
  }
}

}  // namespace tcpshm
