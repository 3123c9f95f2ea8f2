// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "watch.h"

namespace {

// Sorts `order` by its keys, equal keys as they stand; `keys` follow. A byte that all keys share costs no
// pass. Throws CalledOff between passes.
void radix_sort(std::vector<uint64_t>& keys, std::vector<int32_t>& order) {
  std::vector<uint64_t> other_keys(keys.size());
  std::vector<int32_t> other_order(keys.size());
  const Watch watch;
  for (int shift = 0; shift < 64; shift += 8) {
    watch.check();
    std::array<int64_t, 257> start{};
    for (const uint64_t key : keys) ++start[(key >> shift & 255) + 1];
    if (*std::max_element(start.begin(), start.end()) == static_cast<int64_t>(keys.size())) continue;
    std::partial_sum(start.begin(), start.end(), start.begin());
    for (size_t i = 0; i < keys.size(); ++i) {
      const int64_t place = start[keys[i] >> shift & 255]++;
      other_keys[place] = keys[i], other_order[place] = order[i];
    }
    keys.swap(other_keys), order.swap(other_order);
  }
}

constexpr int kSteps = 4;  // that are taken before a branch

// The first of sorted keys, from `at` on, that is not below `lowest`; kSteps that are higher follow the last.
// Mostly it is a few steps ahead, how many is foretold wrongly every other time: they are counted.
inline int64_t first_from(const int64_t* sorted, int64_t at, int64_t lowest) {
  for (int64_t steps = kSteps; steps == kSteps; at += steps) {
    steps = 0;
    for (int k = 0; k < kSteps; ++k) steps += sorted[at + k] < lowest;
  }
  return at;
}

}  // namespace
