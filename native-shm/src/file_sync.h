#ifndef TCPSHM_FILE_SYNC_H_
#define TCPSHM_FILE_SYNC_H_

#include <node_api.h>

#include "mapping.h"

namespace tcpshm {

/**
 * Syncs the file in a thread of node's pool. The result goes to `done`, an Int32Array, as soon as it is
 * there; `finished` is called when the event loop turns.
 */
void StartFileSync(napi_env env, const Mapping& mapping, napi_value done, napi_value finished);

/** syncFolder(path). */
napi_value SyncFolder(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_FILE_SYNC_H_
