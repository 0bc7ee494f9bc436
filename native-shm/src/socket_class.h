#ifndef TCPSHM_SOCKET_CLASS_H_
#define TCPSHM_SOCKET_CLASS_H_

#include <node_api.h>

namespace tcpshm {

/** The class NativeSocket of JavaScript, and the functions that make its objects. */
void DefineSocket(napi_env env);

napi_value ListenTcp(napi_env env, napi_callback_info info);
napi_value ListenUnix(napi_env env, napi_callback_info info);
napi_value ConnectTcp(napi_env env, napi_callback_info info);
napi_value ConnectUnix(napi_env env, napi_callback_info info);
napi_value Adopt(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_SOCKET_CLASS_H_
