#include "mapped_file.h"

#include <utility>

#include "file_sync.h"
#include "value.h"

namespace tcpshm {
namespace {

constexpr int64_t kMostBytes = (int64_t{1} << 53) - 1;  // Number.MAX_SAFE_INTEGER

/** A share of the mapping, held by an ArrayBuffer over it. */
using Share = std::shared_ptr<Mapping>;

/**
 * An ArrayBuffer over the mapping. V8 calls back when the last view of it has gone, be it before or after the
 * MappedFile: until then the memory stays, unless close() has detached the buffer.
 */
napi_value BufferOver(napi_env env, const Share& mapping) {
  auto share = std::make_unique<Share>(mapping);
  napi_value buffer;
  const napi_status status = napi_create_external_arraybuffer(
      env, mapping->data(), mapping->size_bytes(),
      [](napi_env, void*, void* data) noexcept { delete static_cast<Share*>(data); }, share.get(), &buffer);
  if (status == napi_no_external_buffers_allowed) {
    throw CodeFailure{"ERR_EXTERNAL_BUFFERS",
                      "this runtime forbids ArrayBuffers over memory outside its heap (V8's sandbox, as in "
                      "Electron), and a mapped file is such memory"};
  }
  // After any other failure node may call the finalizer all the same, or not: what is left behind is this
  // share, and no memory of the mapping, which the caller closes.
  static_cast<void>(share.release());
  Check(status);
  return buffer;
}

napi_value FileOver(napi_env env, const Share& mapping) {
  const napi_value buffer = BufferOver(env, mapping);
  auto file = std::make_unique<MappedFile>();
  file->mapping = mapping;
  const napi_value object = Wrap(env, std::move(file));
  // Own, fixed properties: the object keeps its buffer alive in a way that the garbage collector understands.
  const napi_property_descriptor properties[] = {
      {"buffer", nullptr, nullptr, nullptr, nullptr, buffer, napi_enumerable, nullptr},
      {"path", nullptr, nullptr, nullptr, nullptr, FromString(env, mapping->path()), napi_enumerable,
       nullptr},
  };
  Check(napi_define_properties(env, object, 2, properties));
  Environment::Of(env).CloseAtEnd(mapping);
  return object;
}

struct Range {
  off_t start;
  off_t length_bytes;
};

Range ToRange(napi_env env, const Call<2>& call) {
  const int64_t start = ToInteger(env, call.arguments[0], "start", 0, kMostBytes);
  return {start, ToInteger(env, call.arguments[1], "lengthBytes", 1, kMostBytes - start)};
}

napi_value Lock(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  const Range range = ToRange(env, call);
  return FromBoolean(env, Unwrap<MappedFile>(env, call.self).mapping->Lock(range.start, range.length_bytes));
}

napi_value Unlock(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  const Range range = ToRange(env, call);
  Unwrap<MappedFile>(env, call.self).mapping->Unlock(range.start, range.length_bytes);
  return nullptr;
}

napi_value IsLocked(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  const Range range = ToRange(env, call);
  return FromBoolean(env,
                     Unwrap<MappedFile>(env, call.self).mapping->IsLocked(range.start, range.length_bytes));
}

napi_value Inode(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromNumber(env, static_cast<double>(UnwrapChecked<MappedFile>(env, call.self).mapping->inode()));
}

napi_value Lost(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  return FromBoolean(env, UnwrapChecked<MappedFile>(env, call.self).mapping->IsLost());
}

napi_value TellLoss(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Mapping& mapping = *Unwrap<MappedFile>(env, call.self).mapping;
  constexpr int64_t kWordBytes = sizeof(int32_t);
  const int64_t most = static_cast<int64_t>(mapping.size_bytes()) - kWordBytes;
  const int64_t offset = ToInteger(env, call.arguments[0], "offset", 0, most);
  if (offset % kWordBytes != 0) {
    throw RangeFailure{"offset must be a multiple of " + std::to_string(kWordBytes) + ", is " +
                       std::to_string(offset)};
  }
  mapping.TellLoss(static_cast<size_t>(offset));
  return nullptr;
}

napi_value Sync(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  StartFileSync(env, *Unwrap<MappedFile>(env, call.self).mapping, call.arguments[0], call.arguments[1]);
  return nullptr;
}

napi_value SyncNow(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Unwrap<MappedFile>(env, call.self).mapping->Sync();
  return nullptr;
}

napi_value WriteOut(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Unwrap<MappedFile>(env, call.self).mapping->WriteOut();
  return nullptr;
}

/**
 * Detaches, then unmaps: no view reaches the memory any more. A buffer that is detached already was
 * transferred (ArrayBuffer.prototype.transfer), so another ArrayBuffer has the memory and keeps it.
 */
napi_value Close(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  Mapping& mapping = *Unwrap<MappedFile>(env, call.self).mapping;
  if (mapping.data() == nullptr) return nullptr;
  napi_value buffer;
  bool detached = false;
  Check(napi_get_named_property(env, call.self, "buffer", &buffer));
  Check(napi_is_detached_arraybuffer(env, buffer, &detached));
  if (detached) {
    mapping.CloseFile();
  } else {
    Check(napi_detach_arraybuffer(env, buffer));
    mapping.Close();
  }
  return nullptr;
}

}  // namespace

napi_value MapFile(napi_env env, napi_callback_info info) {
  const Call<2> call(env, info);
  const std::string path = ToPath(env, call.arguments[0], "path");
  napi_valuetype type;
  napi_value create_value;
  napi_value size_value;
  Check(napi_typeof(env, call.arguments[1], &type));
  if (type != napi_object) throw TypeFailure{"options must be an object {create, sizeBytes}"};
  Check(napi_get_named_property(env, call.arguments[1], "create", &create_value));
  Check(napi_get_named_property(env, call.arguments[1], "sizeBytes", &size_value));
  const bool create = ToBoolean(env, create_value, "create");
  const size_t size_bytes = static_cast<size_t>(ToInteger(env, size_value, "sizeBytes", 0, kMostBytes));

  const Share mapping = create ? Mapping::Create(path, size_bytes) : Mapping::Open(path, size_bytes);
  try {
    return FileOver(env, mapping);
  } catch (...) {
    // Not left to the finalizer of the buffer: when the thread is being terminated, it may never run.
    if (create) mapping->RemoveFile();
    mapping->Close();
    throw;
  }
}

void DefineMappedFile(napi_env env) {
  const napi_property_descriptor properties[] = {
      Accessor<Inode>("inode"), Accessor<Lost>("lost"),     Method<TellLoss>("tellLoss"),
      Method<Lock>("lock"),     Method<Unlock>("unlock"),   Method<IsLocked>("isLocked"),
      Method<Sync>("sync"),     Method<SyncNow>("syncNow"), Method<WriteOut>("writeOut"),
      Method<Close>("close"),
  };
  DefineClass<MappedFile>(env, properties, std::size(properties));
}

}  // namespace tcpshm
