#ifndef TCPSHM_EXIT_HOOK_H_
#define TCPSHM_EXIT_HOOK_H_

#include <node_api.h>

namespace tcpshm {

/** exchangeAtExit(words, index, from, to): returns the function that cancels it. */
napi_value ExchangeAtExit(napi_env env, napi_callback_info info);

}  // namespace tcpshm

#endif  // TCPSHM_EXIT_HOOK_H_
