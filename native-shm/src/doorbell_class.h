#ifndef TCPSHM_DOORBELL_CLASS_H_
#define TCPSHM_DOORBELL_CLASS_H_

#include <node_api.h>

namespace tcpshm {

/** The class Doorbell of JavaScript, and the functions that make its objects. */
void DefineDoorbell(napi_env env);

napi_value CreateDoorbell(napi_env env, napi_callback_info info);
napi_value OpenDoorbell(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_DOORBELL_CLASS_H_
