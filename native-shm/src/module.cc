#include <node_api.h>

#include <iterator>

#include "doorbell_class.h"
#include "environment.h"
#include "epoll.h"
#include "exit_hook.h"
#include "file_sync.h"
#include "mapped_file.h"
#include "socket_class.h"
#include "system.h"

namespace tcpshm {
namespace {

/** Runs once for each thread that loads the module. The interface is declared in lib/memory/native.ts. */
void Initialize(napi_env env, napi_value exports) {
  Environment::Attach(env);
  DefineMappedFile(env);
  DefineSocket(env);
  DefineEpoll(env);
  DefineDoorbell(env);
  const napi_property_descriptor functions[] = {
      Method<MapFile>("mapFile"),
      Method<ListenTcp>("listenTcp"),
      Method<ListenUnix>("listenUnix"),
      Method<ConnectTcp>("connectTcp"),
      Method<ConnectUnix>("connectUnix"),
      Method<Adopt>("adopt"),
      Method<CreateEpoll>("createEpoll"),
      Method<MonotonicMs>("monotonicMs"),
      Method<SetAffinity>("setAffinity"),
      Method<GetAffinity>("getAffinity"),
      Method<BootId>("bootId"),
      Method<ExchangeAtExit>("exchangeAtExit"),
      Method<SyncFolder>("syncFolder"),
      Method<Membarrier>("membarrier"),
      Method<RegisterBarrier>("registerBarrier"),
      Method<Barrier>("barrier"),
      Method<CreateDoorbell>("createDoorbell"),
      Method<OpenDoorbell>("openDoorbell"),
  };
  Check(napi_define_properties(env, exports, std::size(functions), functions));
}

}  // namespace
}  // namespace tcpshm

NAPI_MODULE_INIT() {
  try {
    tcpshm::Initialize(env, exports);
    return exports;
  } catch (...) {
    tcpshm::ThrowIntoJavaScript(env);
    return nullptr;
  }
}
