#include "loop_watch.h"

#include "error.h"

namespace tcpshm {
namespace {

void CheckLoop(int status, const char* call) {
  if (status < 0) throw SystemFailure(-status, call);
}

}  // namespace

std::shared_ptr<LoopWatch> LoopWatch::Start(napi_env env, int fd, napi_value receiver, napi_value ready) {
  const std::shared_ptr<LoopWatch> watch(new LoopWatch(env));
  try {
    uv_loop_t* loop = nullptr;
    napi_value name;
    Check(napi_get_uv_event_loop(env, &loop));
    Check(napi_create_reference(env, receiver, 1, &watch->receiver_));
    Check(napi_create_reference(env, ready, 1, &watch->ready_));
    Check(napi_create_string_utf8(env, "tcpshm.watch", NAPI_AUTO_LENGTH, &name));
    Check(napi_async_init(env, nullptr, name, &watch->context_));
    Check(napi_add_async_cleanup_hook(env, OnEnd, watch.get(), &watch->hook_));
    CheckLoop(::uv_poll_init(loop, &watch->poll_, fd), "uv_poll_init");
  } catch (...) {
    watch->Drop();  // nothing has begun: a handle that was not initialized is not closed
    throw;
  }
  watch->poll_.data = watch.get();
  watch->self_ = watch;
  try {
    CheckLoop(::uv_poll_start(&watch->poll_, UV_READABLE, OnReady), "uv_poll_start");
  } catch (...) {
    watch->Stop();
    throw;
  }
  return watch;
}

/**
 * The loop has the handle until it calls OnClosed, in its next turn. Until then everything else stays too:
 * the call of `ready` that this may be in uses it, and the hook makes an environment that ends wait.
 */
void LoopWatch::Stop() {
  if (stopped_) return;
  stopped_ = true;
  ::uv_close(reinterpret_cast<uv_handle_t*>(&poll_), OnClosed);
}

void LoopWatch::KeepLoopAlive(bool keep) {
  if (stopped_) return;
  auto* const handle = reinterpret_cast<uv_handle_t*>(&poll_);
  if (keep) {
    ::uv_ref(handle);
  } else {
    ::uv_unref(handle);
  }
}

/** Whatever the status is: an epoll has no failures of its own, and its wait tells everything else. */
void LoopWatch::OnReady(uv_poll_t* poll, int, int) noexcept {
  const std::shared_ptr<LoopWatch> watch = static_cast<LoopWatch*>(poll->data)->self_;
  napi_handle_scope scope;
  if (napi_open_handle_scope(watch->env_, &scope) != napi_ok) return;
  watch->Call();
  if (napi_close_handle_scope(watch->env_, scope) != napi_ok) return;
}

void LoopWatch::Call() const noexcept {
  napi_value receiver;
  napi_value ready;
  napi_value exception;
  bool pending = false;
  if (napi_get_reference_value(env_, receiver_, &receiver) != napi_ok) return;
  if (napi_get_reference_value(env_, ready_, &ready) != napi_ok) return;
  if (napi_make_callback(env_, context_, receiver, ready, 0, nullptr, nullptr) == napi_ok) return;
  // Either it has thrown, and then nobody is there to catch it; or the thread is being terminated, and takes
  // neither calls nor exceptions any more.
  if (napi_is_exception_pending(env_, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env_, &exception) != napi_ok) return;
  if (napi_fatal_exception(env_, exception) != napi_ok) return;
}

void LoopWatch::OnClosed(uv_handle_t* handle) noexcept {
  auto* const watch = static_cast<LoopWatch*>(handle->data);
  const std::shared_ptr<LoopWatch> self = std::move(watch->self_);
  watch->self_.reset();
  watch->Drop();
}

/** The environment ends, and runs its loop until Drop has removed the hook. */
void LoopWatch::OnEnd(napi_async_cleanup_hook_handle, void* watch) noexcept {
  static_cast<LoopWatch*>(watch)->Stop();
}

/** A failure here has nobody to be told: what is not deleted goes with the environment. */
void LoopWatch::Drop() noexcept {
  if (receiver_ != nullptr) napi_delete_reference(env_, receiver_);
  if (ready_ != nullptr) napi_delete_reference(env_, ready_);
  if (context_ != nullptr) napi_async_destroy(env_, context_);
  // Last, as the environment may end with it.
  if (hook_ != nullptr) napi_remove_async_cleanup_hook(hook_);
}

}  // namespace tcpshm
