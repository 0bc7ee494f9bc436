#include "file_sync.h"

#include <fcntl.h>

#include <memory>

#include "environment.h"
#include "value.h"

namespace tcpshm {
namespace {

/** The word that the pool thread writes. Throws unless it is one that stays where it is, and is pending. */
int32_t* ToPendingWord(napi_env env, napi_value done) {
  size_t length = 0;
  auto* const word =
      static_cast<int32_t*>(ToElements(env, done, napi_int32_array, "done must be an Int32Array", &length));
  if (length != 1) {
    throw RangeFailure{"done must have one element (and not be detached), has " + std::to_string(length)};
  }
  if (Environment::Of(env).MappingAt(word)) {
    throw TypeFailure{"done must not be in a mapped file, which close() would unmap under the sync"};
  }
  const int32_t value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
  if (value >= 0) {
    throw RangeFailure{"done[0] must be negative (pending) before the sync, is " + std::to_string(value)};
  }
  return word;
}

/**
 * One sync on its way. It is made and ends in its JavaScript thread, and between them Execute has it. An
 * environment that ends first waits for its jobs and completes them, before it runs any hook and detaches any
 * buffer: so neither the word nor the references can go under a job.
 */
class FileSync {
 public:
  FileSync(napi_env env, std::shared_ptr<const UniqueFd> file, int32_t* word)
      : env_(env), file_(std::move(file)), word_(word) {}
  FileSync(const FileSync&) = delete;
  FileSync& operator=(const FileSync&) = delete;
  ~FileSync() {
    // A failure here has nobody to be told: what is not deleted goes with the environment.
    if (work_ != nullptr) napi_delete_async_work(env_, work_);
    if (done_ != nullptr) napi_delete_reference(env_, done_);
    if (finished_ != nullptr) napi_delete_reference(env_, finished_);
  }

  /** From then on the job belongs to the pool, and after it to Complete. */
  static void Queue(std::unique_ptr<FileSync> job, napi_value done, napi_value finished) {
    const napi_env env = job->env_;
    napi_value name;
    Check(napi_create_reference(env, done, 1, &job->done_));
    Check(napi_create_reference(env, finished, 1, &job->finished_));
    Check(napi_create_string_utf8(env, "tcpshm.sync", NAPI_AUTO_LENGTH, &name));
    Check(napi_create_async_work(env, nullptr, name, Execute, Complete, job.get(), &job->work_));
    Check(napi_queue_async_work(env, job->work_));
    static_cast<void>(job.release());
  }

 private:
  /** In a thread of the pool: nothing of N-API here. */
  static void Execute(napi_env, void* data) noexcept {
    auto* const job = static_cast<FileSync*>(data);
    const int fd = job->file_->get();
    const int result = RetryInterrupted([fd] { return ::fdatasync(fd); });
    const int32_t outcome = result == 0 ? 0 : errno;
    job->file_.reset();  // before it is told: a file closed meanwhile has no descriptor left by then
    // PUBLISH the outcome; observed by whoever loads the word with Atomics.load, which need not be in an
    // event loop.
    __atomic_store_n(job->word_, outcome, __ATOMIC_SEQ_CST);
  }

  static void Complete(napi_env env, napi_status, void* data) noexcept {
    const std::unique_ptr<FileSync> job(static_cast<FileSync*>(data));
    napi_value finished;
    napi_value receiver;
    if (napi_get_reference_value(env, job->finished_, &finished) != napi_ok) return;
    if (napi_get_undefined(env, &receiver) != napi_ok) return;
    // What it throws stays pending, and node makes an uncaught exception of it. A thread that is being
    // terminated refuses the call.
    napi_call_function(env, receiver, finished, 0, nullptr, nullptr);
  }

  napi_env env_;
  std::shared_ptr<const UniqueFd> file_;
  int32_t* word_;
  napi_ref done_ = nullptr;  // keeps the word's memory
  napi_ref finished_ = nullptr;
  napi_async_work work_ = nullptr;
};

}  // namespace

void StartFileSync(napi_env env, const Mapping& mapping, napi_value done, napi_value finished) {
  int32_t* const word = ToPendingWord(env, done);
  RequireFunction(env, finished, "finished");
  FileSync::Queue(std::make_unique<FileSync>(env, mapping.ShareFile("fdatasync"), word), done, finished);
}

napi_value SyncFolder(napi_env env, napi_callback_info info) {
  const Call<1> call(env, info);
  const std::string path = ToPath(env, call.arguments[0], "path");
  const UniqueFd fd(
      RetryInterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!fd) throw SystemFailure(errno, "open").Path(path);
  if (RetryInterrupted([&] { return ::fsync(fd.get()); }) != 0) {
    throw SystemFailure(errno, "fsync").Path(path);
  }
  return nullptr;
}

}  // namespace tcpshm
