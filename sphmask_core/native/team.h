// SPDX-License-Identifier: Apache-2.0
// What each thread of a parallel loop works in, made before the threads start: within a loop nobody could say
// that there is no memory for it.
#pragma once

#include <omp.h>

#include <cstdint>
#include <vector>

namespace {

template <typename Scratch>
class Team {
public:
  template <typename Make>
  Team(int64_t threads, Make make) {
    members_.reserve(threads);
    for (int64_t i = 0; i < threads; ++i) members_.push_back(make());
  }

  Scratch& front() { return members_.front(); }
  const std::vector<Scratch>& members() const { return members_; }
  Scratch& mine() { return members_[omp_get_thread_num()]; }

private:
  std::vector<Scratch> members_;
};

}  // namespace
