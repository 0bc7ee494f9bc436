#ifndef TCPSHM_SYSTEM_H_
#define TCPSHM_SYSTEM_H_

#include <node_api.h>

namespace tcpshm {

/** The clock, the processors of this thread, the identity of the running kernel, and its memory barriers. */
napi_value MonotonicMs(napi_env env, napi_callback_info info);
napi_value SetAffinity(napi_env env, napi_callback_info info);
napi_value GetAffinity(napi_env env, napi_callback_info info);
napi_value BootId(napi_env env, napi_callback_info info);
napi_value Membarrier(napi_env env, napi_callback_info info);
napi_value RegisterBarrier(napi_env env, napi_callback_info info);
napi_value Barrier(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_SYSTEM_H_
