#include "guarded_range.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <mutex>

#include "error.h"

namespace tcpshm {

namespace {

constexpr uintptr_t kNone = UINTPTR_MAX;
constexpr size_t kSlotsInBlock = 64;

}  // namespace

/**
 * What the signal handler reads. Slots are never freed, only used again, and one that is being changed has no
 * end: so the handler sees a range as it is, or not at all.
 */
struct Slot {
  std::atomic<uintptr_t> start{0};
  std::atomic<uintptr_t> end{0};  // 0 while nothing is guarded; stored last, and cleared first
  std::atomic<uintptr_t> word{kNone};
  std::atomic<bool> lost{false};
  std::atomic<bool> taken{false};
};

namespace {

struct Block {
  Slot slots[kSlotsInBlock];
  std::atomic<Block*> next{nullptr};
};

// A handler belongs to the process, and so does what it reads. Nothing here is ever destroyed: a thread may
// still end while the process does.
Block first_block;
struct sigaction before;
uintptr_t page_bytes;

Slot& TakeSlot() {
  for (Block* block = &first_block;;) {
    for (Slot& slot : block->slots) {
      bool expected = false;
      if (slot.taken.compare_exchange_strong(expected, true)) return slot;
    }
    Block* next = block->next.load();
    if (next == nullptr) {
      auto* const fresh = new Block();
      if (block->next.compare_exchange_strong(next, fresh)) {
        next = fresh;
      } else {
        delete fresh;
      }
    }
    block = next;
  }
}

/** The range that the address lies in. Only the thread that has this range can be here for it, so it stays.
 */
Slot* SlotAt(uintptr_t address) {
  for (Block* block = &first_block; block != nullptr; block = block->next.load()) {
    for (Slot& slot : block->slots) {
      const uintptr_t end = slot.end.load();
      if (address >= end) continue;
      const uintptr_t start = slot.start.load();
      // The end again: the slot may have become another one's between the two.
      if (address >= start && slot.end.load() == end) return &slot;
    }
  }
  return nullptr;
}

bool ReplacePage(uintptr_t address) {
  void* const page = reinterpret_cast<void*>(address & ~(page_bytes - 1));
  return ::mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
         MAP_FAILED;
}

bool TellLoss(const Slot& slot) {
  const uintptr_t word = slot.word.load();
  if (word == kNone) return true;
  if (!ReplacePage(word)) return false;
  __atomic_store_n(reinterpret_cast<int32_t*>(word), 1, __ATOMIC_SEQ_CST);
  return true;
}

/** Only what a signal handler may do: no memory, no locks; mmap is a system call and nothing else. */
bool Survive(const siginfo_t& info) {
  if (info.si_code != BUS_ADRERR) return false;
  const int number = errno;
  const auto address = reinterpret_cast<uintptr_t>(info.si_addr);
  Slot* const slot = SlotAt(address);
  const bool survived =
      slot != nullptr && ReplacePage(address) && (slot->lost.exchange(true) || TellLoss(*slot));
  errno = number;
  return survived;
}

void OnBusError(int signal_number, siginfo_t* info, void* context) {
  if (Survive(*info)) return;
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal_number, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal_number);
  } else if (before.sa_handler == SIG_DFL || info->si_code > 0) {
    // As if nobody had ever listened (the kernel lets nobody ignore a fault): it comes again, behind this
    // handler.
    struct sigaction fatal{};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(signal_number, &fatal, nullptr);
    ::raise(signal_number);
  }
}

void InstallOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    if (::sigaction(SIGBUS, nullptr, &before) != 0) throw SystemFailure(errno, "sigaction");
    struct sigaction ours{};
    ours.sa_sigaction = OnBusError;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    ours.sa_mask = before.sa_mask;
    if (::sigaction(SIGBUS, &ours, nullptr) != 0) throw SystemFailure(errno, "sigaction");
  });
}

}  // namespace

void GuardedRange::Guard(void* data, size_t size_bytes) {
  InstallOnce();
  Slot& slot = TakeSlot();
  const auto start = reinterpret_cast<uintptr_t>(data);
  slot.lost.store(false);
  slot.word.store(kNone);
  slot.start.store(start);
  slot.end.store((start + size_bytes + page_bytes - 1) & ~(page_bytes - 1));
  slot_ = &slot;
}

void GuardedRange::Release() {
  if (slot_ == nullptr) return;
  slot_->end.store(0);
  slot_->taken.store(false);
  slot_ = nullptr;
}

bool GuardedRange::lost() const { return slot_ != nullptr && slot_->lost.load(); }

void GuardedRange::Tell(size_t offset) {
  if (slot_ == nullptr) return;
  slot_->word.store(slot_->start.load() + offset);
  if (slot_->lost.load()) TellLoss(*slot_);
}

}  // namespace tcpshm
