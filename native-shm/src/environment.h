#ifndef TCPSHM_ENVIRONMENT_H_
#define TCPSHM_ENVIRONMENT_H_

#include <node_api.h>

#include <array>
#include <memory>
#include <vector>

#include "error.h"
#include "value.h"

namespace tcpshm {

class Mapping;

/** The classes of this module. An object is what it claims to be only when it carries the class's tag. */
enum class ClassId { kMappedFile, kSocket, kEpoll, kDoorbell, kCount };

/**
 * What the module keeps for one thread (one environment of node). There are no other variables but the
 * constants, the register of released sockets and the guarded ranges, so any number of threads may load the
 * module.
 */
class Environment {
 public:
  /** Makes the environment's instance, which lives until the environment's end. */
  static Environment& Attach(napi_env env);
  static Environment& Of(napi_env env);

  void SetConstructor(ClassId id, napi_ref constructor) {
    constructors_[static_cast<size_t>(id)] = constructor;
  }
  napi_value Construct(napi_env env, ClassId id);
  bool constructing() const { return constructing_; }

  /** At the thread's end, `mapping` is closed if it is still open: node may never run the buffer's finalizer.
   */
  void CloseAtEnd(const std::shared_ptr<Mapping>& mapping);
  /** The open mapping of this thread that `address` lies in, or none. */
  std::shared_ptr<Mapping> MappingAt(const void* address) const;

 private:
  Environment() = default;
  static void OnEnd(void* environment) noexcept;

  std::array<napi_ref, static_cast<size_t>(ClassId::kCount)> constructors_{};
  std::vector<std::weak_ptr<Mapping>> mappings_;
  size_t swept_at_ = 16;  // the length of mappings_ at which those that are gone are taken out
  bool constructing_ = false;
};

/** The constructor behind every class: scripts cannot call it, only Wrap can. */
napi_value ConstructOnlyFromNative(napi_env env, napi_callback_info info);

/** Defines the class T out of T::kId and T::kName. */
template <typename T>
void DefineClass(napi_env env, const napi_property_descriptor* properties, size_t count) {
  napi_value constructor;
  napi_ref reference;
  Check(napi_define_class(env, T::kName, NAPI_AUTO_LENGTH, Guarded<ConstructOnlyFromNative>, nullptr, count,
                          properties, &constructor));
  Check(napi_create_reference(env, constructor, 1, &reference));
  Environment::Of(env).SetConstructor(T::kId, reference);
}

/** A JavaScript object that owns `native` until the garbage collector or the end of the thread. */
template <typename T>
napi_value Wrap(napi_env env, std::unique_ptr<T> native) {
  const napi_value object = Environment::Of(env).Construct(env, T::kId);
  Check(napi_type_tag_object(env, object, &T::kTag));
  Check(napi_wrap(
      env, object, native.get(), [](napi_env, void* data, void*) noexcept { delete static_cast<T*>(data); },
      nullptr, nullptr));
  native.release();
  return object;
}

/**
 * The native part of the receiver of a method. V8 has compared the receiver with the class already
 * (napi_define_class gives methods a signature), so this is cheap enough for every message.
 */
template <typename T>
T& Unwrap(napi_env env, napi_value self) {
  void* data = nullptr;
  Check(napi_unwrap(env, self, &data));
  return *static_cast<T*>(data);
}

/** The same for the receiver of an accessor, which has no signature and can be any value. */
template <typename T>
T& UnwrapChecked(napi_env env, napi_value self) {
  napi_valuetype type;
  bool tagged = false;
  Check(napi_typeof(env, self, &type));
  if (type == napi_object) Check(napi_check_object_type_tag(env, self, &T::kTag, &tagged));
  if (!tagged) throw TypeFailure{std::string("receiver must be a ") + T::kName};
  return Unwrap<T>(env, self);
}

template <napi_value (*Function)(napi_env, napi_callback_info)>
constexpr napi_property_descriptor Method(const char* name) {
  return {name, nullptr, Guarded<Function>, nullptr, nullptr, nullptr, napi_default_method, nullptr};
}

template <napi_value (*Function)(napi_env, napi_callback_info)>
constexpr napi_property_descriptor Accessor(const char* name) {
  return {name, nullptr, nullptr, Guarded<Function>, nullptr, nullptr, napi_enumerable, nullptr};
}

}  // namespace tcpshm

#endif  // TCPSHM_ENVIRONMENT_H_
