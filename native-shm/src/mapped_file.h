#ifndef TCPSHM_MAPPED_FILE_H_
#define TCPSHM_MAPPED_FILE_H_

#include <node_api.h>

#include <memory>

#include "environment.h"
#include "mapping.h"

namespace tcpshm {

/** The class MappedFile of JavaScript. */
struct MappedFile {
  static constexpr ClassId kId = ClassId::kMappedFile;
  static constexpr const char* kName = "MappedFile";
  static constexpr napi_type_tag kTag{0x7463707368eb4d01, 0xb2a55f0c6c0e4d6f};

  std::shared_ptr<Mapping> mapping;
};

void DefineMappedFile(napi_env env);

/** mapFile(path, {create, sizeBytes}). */
napi_value MapFile(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_MAPPED_FILE_H_
