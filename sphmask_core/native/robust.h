// SPDX-License-Identifier: Apache-2.0
// What the kernels share that fit curved surfaces and tell which points lie on them.
#pragma once

#include <algorithm>
#include <vector>

namespace {

constexpr int kTerms = 10;             // of a cubic in two variables
constexpr float kDeviation = 1.4826f;  // of a normal distribution, over its median absolute deviation

// The middle value of some, the upper one of two; changes their order.
template <typename Number>
Number median(std::vector<Number>& values) {
  const auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace
