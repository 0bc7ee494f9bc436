#ifndef TCPSHM_GUARDED_RANGE_H_
#define TCPSHM_GUARDED_RANGE_H_

#include <cstddef>

namespace tcpshm {

/**
 * Memory over a file that another process of this user may shorten: touching what is gone raises SIGBUS,
 * which kills. While a range is guarded, the page that was touched is replaced by one of zeroes, of this
 * process alone, and the range counts as lost: the instruction goes on, and who is told (see `Tell`) gives
 * the mapping up.
 *
 * Any other SIGBUS goes where it went before the first range was guarded. A range belongs to the thread that
 * touches it; any number of threads have theirs.
 */
class GuardedRange {
 public:
  GuardedRange() = default;
  GuardedRange(const GuardedRange&) = delete;
  GuardedRange& operator=(const GuardedRange&) = delete;
  ~GuardedRange() { Release(); }

  /** Of whole pages from `data` on. Throws std::bad_alloc, and SystemFailure where the signal cannot be had.
   */
  void Guard(void* data, size_t size_bytes);
  /** Before the memory is unmapped. Twice is harmless. */
  void Release();

  bool lost() const;
  /**
   * From now on the aligned 32-bit word at this offset is set to 1 when the range is lost, and at once if it
   * is. Its page is replaced too, so that nobody else reads that word or clears it.
   */
  void Tell(size_t offset);

 private:
  struct Slot* slot_ = nullptr;
};

}  // namespace tcpshm

#endif  // TCPSHM_GUARDED_RANGE_H_
