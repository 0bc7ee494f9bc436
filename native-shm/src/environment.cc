#include "environment.h"

#include <algorithm>

#include "mapping.h"

namespace tcpshm {

Environment& Environment::Attach(napi_env env) {
  std::unique_ptr<Environment> environment(new Environment());
  // Hooks run in reverse order: this one after those of buffers and of exchangeAtExit, which come later.
  Check(napi_add_env_cleanup_hook(env, OnEnd, environment.get()));
  const napi_status status = napi_set_instance_data(
      env, environment.get(),
      [](napi_env, void* data, void*) noexcept { delete static_cast<Environment*>(data); }, nullptr);
  if (status != napi_ok) {
    Check(napi_remove_env_cleanup_hook(env, OnEnd, environment.get()));
    throw ApiFailure{status};
  }
  return *environment.release();
}

Environment& Environment::Of(napi_env env) {
  void* data = nullptr;
  Check(napi_get_instance_data(env, &data));
  if (data == nullptr) throw CodeFailure{"ERR_NATIVE_CALL", "the native module is not initialized"};
  return *static_cast<Environment*>(data);
}

napi_value Environment::Construct(napi_env env, ClassId id) {
  napi_value constructor;
  napi_value object;
  Check(napi_get_reference_value(env, constructors_[static_cast<size_t>(id)], &constructor));
  constructing_ = true;
  const napi_status status = napi_new_instance(env, constructor, 0, nullptr, &object);
  constructing_ = false;
  Check(status);
  return object;
}

void Environment::CloseAtEnd(const std::shared_ptr<Mapping>& mapping) {
  if (mappings_.size() >= swept_at_) {
    const auto gone = [](const std::weak_ptr<Mapping>& entry) { return entry.expired(); };
    mappings_.erase(std::remove_if(mappings_.begin(), mappings_.end(), gone), mappings_.end());
    swept_at_ = std::max(swept_at_, 2 * mappings_.size());
  }
  mappings_.push_back(mapping);
}

std::shared_ptr<Mapping> Environment::MappingAt(const void* address) const {
  for (const std::weak_ptr<Mapping>& entry : mappings_) {
    std::shared_ptr<Mapping> mapping = entry.lock();
    if (mapping && mapping->Has(address)) return mapping;
  }
  return nullptr;
}

void Environment::OnEnd(void* environment) noexcept {
  for (const std::weak_ptr<Mapping>& entry : static_cast<Environment*>(environment)->mappings_) {
    if (const std::shared_ptr<Mapping> mapping = entry.lock()) mapping->Close();
  }
}

napi_value ConstructOnlyFromNative(napi_env env, napi_callback_info info) {
  if (!Environment::Of(env).constructing()) {
    throw TypeFailure{
        "this class has no public constructor: call the function that opens what it stands for"};
  }
  return Call<1>(env, info).self;
}

}  // namespace tcpshm
