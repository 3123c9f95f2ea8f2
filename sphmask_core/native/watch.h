// SPDX-License-Identifier: Apache-2.0
// Calling off a kernel that runs: the thread that calls kernels names a flag (sphmask_watch), and kernels
// that may take long look at it every few milliseconds.
#pragma once

#include <cstdint>

// The flag of this thread, null where there is none. Threads of a parallel loop do not see it: a Watch is
// made before the loop.
const int32_t* sphmask_watched();

namespace {

constexpr const char* kCalledOff = "called off";

// What ends a kernel that has been called off; `guarded` turns it into the kernel's answer.
struct CalledOff {};

class Watch {
public:
  Watch() : flag_(sphmask_watched()) {}

  // For parallel loops, which cannot be left: what is left of them is skipped.
  bool off() const { return flag_ != nullptr && __atomic_load_n(flag_, __ATOMIC_RELAXED) != 0; }

  void check() const {
    if (off()) throw CalledOff{};
  }
  // For row i of a plain loop: looks at the flag now and then.
  void check(int64_t i) const {
    if (i % kRows == 0) check();
  }

  // Visits all items in their order.
  template <typename Items, typename Visit>
  void for_each(Items&& items, Visit visit) const {
    int64_t i = 0;
    for (auto& item : items) {
      check(i++);
      visit(item);
    }
  }

private:
  static constexpr int64_t kRows = 1 << 14;  // of some 100 ns each

  const int32_t* flag_;
};

}  // namespace
