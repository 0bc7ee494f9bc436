#include "exit_hook.h"

#include <limits>
#include <memory>

#include "environment.h"
#include "mapping.h"
#include "value.h"

namespace tcpshm {
namespace {

/**
 * Sets one word when the thread's environment ends. Node runs the hooks of an environment in reverse order
 * and while the isolate still lives. But before any hook it detaches every ArrayBuffer over memory outside of
 * the heap, so:
 *
 * - a word in a mapped file is reached by its address; the hook holds the mapping, which Environment closes
 * in a hook that runs later. If close() has unmapped the file already, nothing happens.
 * - another word (of a SharedArrayBuffer, or of an ArrayBuffer of the heap) is reached through its array,
 * which the hook holds. If that was detached (its buffer was transferred), nothing happens.
 */
class ExitHook {
 public:
  static std::shared_ptr<ExitHook> Arm(napi_env env, napi_value words, int32_t* word, size_t index,
                                       int32_t from, int32_t to) {
    std::shared_ptr<ExitHook> hook(new ExitHook(env, index, from, to));
    hook->mapping_ = Environment::Of(env).MappingAt(word);
    if (hook->mapping_) hook->mapped_word_ = word;
    Check(napi_create_reference(env, words, 1, &hook->words_));
    const napi_status status = napi_add_env_cleanup_hook(env, OnEnd, hook.get());
    if (status != napi_ok) {
      hook->Drop();
      throw ApiFailure{status};
    }
    hook->armed_ = hook;
    return hook;
  }

  /** Twice is harmless. */
  void Cancel() {
    const std::shared_ptr<ExitHook> self = std::move(armed_);
    armed_.reset();
    if (!self) return;
    Check(napi_remove_env_cleanup_hook(env_, OnEnd, this));
    Drop();
  }

 private:
  ExitHook(napi_env env, size_t index, int32_t from, int32_t to)
      : env_(env), index_(index), from_(from), to_(to) {}

  static void OnEnd(void* data) noexcept {
    auto* const hook = static_cast<ExitHook*>(data);
    const std::shared_ptr<ExitHook> self = std::move(hook->armed_);
    hook->armed_.reset();
    napi_handle_scope scope;
    if (napi_open_handle_scope(hook->env_, &scope) != napi_ok) return;
    try {
      if (int32_t* const word = hook->Word()) hook->Exchange(word);
      hook->Drop();
    } catch (const ApiFailure&) {
      // Nobody is left to tell. The reference goes with the environment.
    }
    if (napi_close_handle_scope(hook->env_, scope) != napi_ok) return;
  }

  int32_t* Word() const {
    if (mapping_) return mapping_->data() != nullptr ? mapped_word_ : nullptr;
    napi_value words;
    void* data = nullptr;
    size_t length = 0;
    Check(napi_get_reference_value(env_, words_, &words));
    Check(napi_get_typedarray_info(env_, words, nullptr, &length, &data, nullptr, nullptr));
    return data != nullptr && index_ < length ? static_cast<int32_t*>(data) + index_ : nullptr;
  }

  void Exchange(int32_t* word) const {
    int32_t expected = from_;
    // PUBLISH the end of this thread; observed by whoever loads the word with Atomics.load.
    __atomic_compare_exchange_n(word, &expected, to_, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  }

  void Drop() {
    mapping_.reset();
    Check(napi_delete_reference(env_, words_));
  }

  napi_env env_;
  napi_ref words_ = nullptr;
  std::shared_ptr<Mapping> mapping_;
  int32_t* mapped_word_ = nullptr;
  size_t index_;
  int32_t from_;
  int32_t to_;
  std::shared_ptr<ExitHook> armed_;  // itself, until it has run or is cancelled
};

napi_value Cancel(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  Check(napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data));
  (*static_cast<std::shared_ptr<ExitHook>*>(data))->Cancel();
  return nullptr;
}

}  // namespace

napi_value ExchangeAtExit(napi_env env, napi_callback_info info) {
  const Call<4> call(env, info);
  constexpr int64_t kLeast = std::numeric_limits<int32_t>::min();
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  size_t length = 0;
  auto* const words = static_cast<int32_t*>(
      ToElements(env, call.arguments[0], napi_int32_array, "words must be an Int32Array", &length));
  const int64_t index = ToInteger(env, call.arguments[1], "index", 0, std::numeric_limits<uint32_t>::max());
  if (static_cast<uint64_t>(index) >= length) {
    throw RangeFailure{"index must be less than the length of words, " + std::to_string(length) + ", is " +
                       std::to_string(index)};
  }
  const int64_t from = ToInteger(env, call.arguments[2], "from", kLeast, kMost);
  const int64_t to = ToInteger(env, call.arguments[3], "to", kLeast, kMost);

  const std::shared_ptr<ExitHook> hook =
      ExitHook::Arm(env, call.arguments[0], words + index, static_cast<size_t>(index),
                    static_cast<int32_t>(from), static_cast<int32_t>(to));
  auto owner = std::make_unique<std::shared_ptr<ExitHook>>(hook);
  try {
    napi_value cancel;
    Check(napi_create_function(env, "cancel", NAPI_AUTO_LENGTH, Guarded<Cancel>, owner.get(), &cancel));
    Check(napi_add_finalizer(
        env, cancel, owner.get(),
        [](napi_env, void* data, void*) noexcept { delete static_cast<std::shared_ptr<ExitHook>*>(data); },
        nullptr, nullptr));
    static_cast<void>(owner.release());
    return cancel;
  } catch (...) {
    hook->Cancel();
    throw;
  }
}

}  // namespace tcpshm
