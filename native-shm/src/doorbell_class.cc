#include "doorbell_class.h"

#include <iterator>
#include <limits>
#include <utility>

#include "doorbell.h"
#include "environment.h"
#include "value.h"

namespace tcpshm {
namespace {

struct DoorbellObject {
  static constexpr ClassId kId = ClassId::kDoorbell;
  static constexpr const char* kName = "Doorbell";
  static constexpr napi_type_tag kTag{0x7463707368eb4d04, 0x91c7e35d20ab6f48};

  std::unique_ptr<Doorbell> doorbell;
};

Doorbell& Receiver(napi_env env, napi_value self) { return *Unwrap<DoorbellObject>(env, self).doorbell; }

Doorbell& AccessorReceiver(napi_env env, napi_value self) {
  return *UnwrapChecked<DoorbellObject>(env, self).doorbell;
}

napi_value WrapDoorbell(napi_env env, std::unique_ptr<Doorbell> doorbell) {
  auto object = std::make_unique<DoorbellObject>();
  object->doorbell = std::move(doorbell);
  return Wrap(env, std::move(object));
}

napi_value Descriptor(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromInteger(env, AccessorReceiver(env, call.self).fd());
}

napi_value Path(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromString(env, AccessorReceiver(env, call.self).path());
}

napi_value Ring(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const int64_t token = ToInteger(env, call.arguments[0], "token", 0, std::numeric_limits<uint32_t>::max());
  return FromBoolean(env, Receiver(env, call.self).Ring(static_cast<uint32_t>(token)));
}

napi_value Answer(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  size_t length = 0;
  auto* const tokens = static_cast<uint32_t*>(
      ToElements(env, call.arguments[0], napi_uint32_array, "tokens must be a Uint32Array", &length));
  if (length == 0) throw RangeFailure{"tokens must have room for one (and not be detached), has length 0"};
  // Linux reads less than 2 GiB in one call, so a count fits.
  return FromInteger(env, static_cast<int32_t>(Receiver(env, call.self).Answer(tokens, length)));
}

napi_value Close(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Receiver(env, call.self).Close();
  return nullptr;
}

}  // namespace

napi_value CreateDoorbell(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return WrapDoorbell(env, Doorbell::Create(ToPath(env, call.arguments[0], "path")));
}

napi_value OpenDoorbell(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  std::unique_ptr<Doorbell> doorbell = Doorbell::Open(ToPath(env, call.arguments[0], "path"));
  return doorbell ? WrapDoorbell(env, std::move(doorbell)) : Null(env);
}

void DefineDoorbell(napi_env env) {
  const napi_property_descriptor properties[] = {
      Accessor<Descriptor>("fd"), Accessor<Path>("path"), Method<Ring>("ring"),
      Method<Answer>("answer"),   Method<Close>("close"),
  };
  DefineClass<DoorbellObject>(env, properties, std::size(properties));
}

}  // namespace tcpshm
