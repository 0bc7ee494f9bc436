#ifndef TCPSHM_EPOLL_H_
#define TCPSHM_EPOLL_H_

#include <node_api.h>

namespace tcpshm {

/** The class Epoll of JavaScript, and the function that makes its objects. */
void DefineEpoll(napi_env env);
napi_value CreateEpoll(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_EPOLL_H_
