#ifndef TCPSHM_VALUE_H_
#define TCPSHM_VALUE_H_

#include <node_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "error.h"

namespace tcpshm {

/** The arguments of one call from JavaScript; those that were not given are undefined. */
template <size_t kMost>
struct Call {
  Call(napi_env env, napi_callback_info info) {
    Check(napi_get_cb_info(env, info, &count, arguments, &self, &data));
  }
  size_t count = kMost;
  napi_value arguments[kMost];
  napi_value self;
  void* data;  // that the function was made with
};

struct Bytes {
  uint8_t* data;
  size_t length;
};

/** Each throws TypeFailure on another type, and RangeFailure beyond `least` to `most`. */
std::string ToString(napi_env env, napi_value value, const char* name);
bool ToBoolean(napi_env env, napi_value value, const char* name);
double ToNumber(napi_env env, napi_value value, const char* name);
int64_t ToInteger(napi_env env, napi_value value, const char* name, int64_t least, int64_t most);

/** A string that is a path: not empty, without null characters. */
std::string ToPath(napi_env env, napi_value value, const char* name);

/** All bytes of a Uint8Array. Valid as long as it is there, and its memory is neither transferred nor
 * resized. */
Bytes ToBytes(napi_env env, napi_value array);

/** The bytes `start` to `start + length` of some. */
Bytes ToRange(napi_env env, Bytes bytes, napi_value start, napi_value length);

/** Throws TypeFailure unless `value` is a typed array of this type; `length` counts elements. */
void* ToElements(napi_env env, napi_value value, napi_typedarray_type type, const char* expected,
                 size_t* length);

/** Throws TypeFailure unless `value` is a function. */
void RequireFunction(napi_env env, napi_value value, const char* name);

bool IsUndefined(napi_env env, napi_value value);

napi_value FromInteger(napi_env env, int32_t value);
napi_value FromNumber(napi_env env, double value);
napi_value FromBoolean(napi_env env, bool value);
napi_value FromString(napi_env env, const std::string& value);
napi_value Null(napi_env env);

}  // namespace tcpshm

#endif  // TCPSHM_VALUE_H_
