#ifndef TCPSHM_LOOP_WATCH_H_
#define TCPSHM_LOOP_WATCH_H_

#include <node_api.h>
#include <uv.h>

#include <memory>

namespace tcpshm {

/**
 * Has the event loop of this thread call a function whenever a descriptor is readable, as long as it is
 * (level triggered). From Start to Stop it keeps `receiver`, the object that the descriptor belongs to, and
 * so the descriptor. It ends with the thread in any case.
 */
class LoopWatch {
 public:
  static std::shared_ptr<LoopWatch> Start(napi_env env, int fd, napi_value receiver, napi_value ready);

  LoopWatch(const LoopWatch&) = delete;
  LoopWatch& operator=(const LoopWatch&) = delete;

  /** After this `ready` is not called any more, and the descriptor may be closed. Twice is harmless. */
  void Stop();
  /** Whether the event loop goes on for this alone; true to begin with. */
  void KeepLoopAlive(bool keep);

 private:
  explicit LoopWatch(napi_env env) : env_(env) {}
  static void OnReady(uv_poll_t* poll, int status, int events) noexcept;
  static void OnClosed(uv_handle_t* handle) noexcept;
  static void OnEnd(napi_async_cleanup_hook_handle hook, void* watch) noexcept;
  void Call() const noexcept;
  void Drop() noexcept;

  napi_env env_;
  napi_ref receiver_ = nullptr;
  napi_ref ready_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  uv_poll_t poll_{};
  bool stopped_ = false;
  std::shared_ptr<LoopWatch> self_;  // while libuv knows of poll_: until OnClosed
};

}  // namespace tcpshm

#endif  // TCPSHM_LOOP_WATCH_H_
