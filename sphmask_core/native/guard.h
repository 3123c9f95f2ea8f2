// SPDX-License-Identifier: Apache-2.0
// What every C function returns, and how it ends where memory does.
#pragma once

#include <cstdint>
#include <exception>
#include <limits>

#include "watch.h"

namespace {

constexpr const char* kFine = nullptr;
constexpr const char* kNoMemory = "out of memory";
constexpr const char* kTooMany = "there are more than 2^31 - 1 rows";
constexpr int64_t kMostRows = std::numeric_limits<int32_t>::max();

// Runs the body of a C function; C knows no exceptions. Those that are thrown come from memory that is not
// there, or from a Watch.
template <typename Body>
const char* guarded(Body body) noexcept {
  try {
    return body();
  } catch (const CalledOff&) {
    return kCalledOff;
  } catch (const std::exception&) {
    return kNoMemory;
  }
}

// Whether all of the n numbers are finite: what is not has no difference of zero with itself.
inline bool all_finite(const float* values, int64_t n) {
  int64_t strange = 0;
  for (int64_t i = 0; i < n; ++i) strange += !(values[i] - values[i] == 0);
  return strange == 0;
}

}  // namespace
