#include "value.h"

#include <cstdio>

namespace tcpshm {
namespace {

std::string Shown(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", number);
  return text;
}

/** For numbers that an int64_t can hold. Not with std::floor: without SSE 4.1 that is a call into the
 * library. */
bool IsWhole(double number) { return static_cast<double>(static_cast<int64_t>(number)) == number; }

/** A whole number from 0 to `most`, or RangeFailure. */
size_t ToCount(napi_env env, napi_value value, const char* name, size_t most) {
  const double number = ToNumber(env, value, name);
  if (!(number >= 0 && number <= static_cast<double>(static_cast<int64_t>(most))) || !IsWhole(number)) {
    throw RangeFailure{std::string(name) + " must be a whole number from 0 to " + std::to_string(most) +
                       " (what the array has), is " + Shown(number)};
  }
  return static_cast<size_t>(number);
}

}  // namespace

std::string ToString(napi_env env, napi_value value, const char* name) {
  size_t length = 0;
  const napi_status status = napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  if (status == napi_string_expected) throw TypeFailure{std::string(name) + " must be a string"};
  Check(status);
  std::string text(length, '\0');
  Check(napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  return text;
}

std::string ToPath(napi_env env, napi_value value, const char* name) {
  std::string path = ToString(env, value, name);
  if (path.empty() || path.find('\0') != std::string::npos) {
    throw TypeFailure{std::string(name) + " must be a string that is not empty and has no null characters"};
  }
  return path;
}

bool ToBoolean(napi_env env, napi_value value, const char* name) {
  bool truth = false;
  const napi_status status = napi_get_value_bool(env, value, &truth);
  if (status == napi_boolean_expected) throw TypeFailure{std::string(name) + " must be a boolean"};
  Check(status);
  return truth;
}

double ToNumber(napi_env env, napi_value value, const char* name) {
  double number = 0;
  const napi_status status = napi_get_value_double(env, value, &number);
  if (status == napi_number_expected) throw TypeFailure{std::string(name) + " must be a number"};
  Check(status);
  return number;
}

int64_t ToInteger(napi_env env, napi_value value, const char* name, int64_t least, int64_t most) {
  const double number = ToNumber(env, value, name);
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)) || !IsWhole(number)) {
    throw RangeFailure{std::string(name) + " must be a whole number from " + std::to_string(least) + " to " +
                       std::to_string(most) + ", is " + Shown(number)};
  }
  return static_cast<int64_t>(number);
}

void* ToElements(napi_env env, napi_value value, napi_typedarray_type type, const char* expected,
                 size_t* length) {
  napi_typedarray_type actual;
  void* data = nullptr;
  const napi_status status = napi_get_typedarray_info(env, value, &actual, length, &data, nullptr, nullptr);
  if (status == napi_invalid_arg || (status == napi_ok && actual != type)) throw TypeFailure{expected};
  Check(status);
  return data;
}

Bytes ToBytes(napi_env env, napi_value array) {
  Bytes bytes;
  bytes.data = static_cast<uint8_t*>(ToElements(
      env, array, napi_uint8_array, "bytes must be in a Uint8Array (a Buffer is one)", &bytes.length));
  return bytes;
}

Bytes ToRange(napi_env env, Bytes bytes, napi_value start, napi_value length) {
  const size_t first = ToCount(env, start, "start", bytes.length);
  const size_t count = ToCount(env, length, "length", bytes.length - first);
  return {bytes.data + first, count};
}

void RequireFunction(napi_env env, napi_value value, const char* name) {
  napi_valuetype type;
  Check(napi_typeof(env, value, &type));
  if (type != napi_function) throw TypeFailure{std::string(name) + " must be a function"};
}

bool IsUndefined(napi_env env, napi_value value) {
  napi_valuetype type;
  Check(napi_typeof(env, value, &type));
  return type == napi_undefined;
}

napi_value FromInteger(napi_env env, int32_t value) {
  napi_value result;
  Check(napi_create_int32(env, value, &result));
  return result;
}

napi_value FromNumber(napi_env env, double value) {
  napi_value result;
  Check(napi_create_double(env, value, &result));
  return result;
}

napi_value FromBoolean(napi_env env, bool value) {
  napi_value result;
  Check(napi_get_boolean(env, value, &result));
  return result;
}

napi_value FromString(napi_env env, const std::string& value) {
  napi_value result;
  Check(napi_create_string_utf8(env, value.data(), value.size(), &result));
  return result;
}

napi_value Null(napi_env env) {
  napi_value result;
  Check(napi_get_null(env, &result));
  return result;
}

}  // namespace tcpshm
