// SPDX-License-Identifier: Apache-2.0
// Matrix products on a block of registers: a few rows against a panel of columns two vectors wide.
// Included by the kernels, each with a copy of its own that the compiler may inline.
#pragma once

#include <cstdint>
#include <vector>

namespace {

constexpr int kRows = 6;  // rows of the register block: 6 x 2 vectors of accumulators

template <typename T>
struct Block {
  typedef T Vector __attribute__((vector_size(32), aligned(alignof(T))));
  static constexpr int kLane = 32 / sizeof(T);
  static constexpr int kWidth = 2 * kLane;  // output channels of the register block
};

template <typename T>
typename Block<T>::Vector& vector_at(T* p) {
  return *reinterpret_cast<typename Block<T>::Vector*>(p);
}

template <typename T>
const typename Block<T>::Vector& vector_at(const T* p) {
  return *reinterpret_cast<const typename Block<T>::Vector*>(p);
}

// out[m][at:at + width] += sum_i a[m][i] b[i][0:width] for R rows m; b is one panel.
template <typename T, int R>
void multiply_add(const T* const* a, const T* b, int64_t depth, T* const* out, int64_t at) {
  using V = typename Block<T>::Vector;
  V low[R], high[R];
#pragma GCC unroll 6
  for (int m = 0; m < R; ++m) {
    low[m] = vector_at(out[m] + at);
    high[m] = vector_at(out[m] + at + Block<T>::kLane);
  }
#pragma GCC unroll 4
  for (int64_t i = 0; i < depth; ++i) {
    const T* row = b + i * Block<T>::kWidth;
    const V b_low = vector_at(row), b_high = vector_at(row + Block<T>::kLane);
#pragma GCC unroll 6
    for (int m = 0; m < R; ++m) {
      low[m] += a[m][i] * b_low;
      high[m] += a[m][i] * b_high;
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < R; ++m) {
    vector_at(out[m] + at) = low[m];
    vector_at(out[m] + at + Block<T>::kLane) = high[m];
  }
}

// The same for any number of rows, block by block.
template <typename T>
void multiply_add_rows(int64_t rows, const T* const* a, const T* b, int64_t depth, T* const* out, int64_t at) {
  for (; rows >= kRows; rows -= kRows, a += kRows, out += kRows) multiply_add<T, kRows>(a, b, depth, out, at);
  switch (rows) {
    case 1: return multiply_add<T, 1>(a, b, depth, out, at);
    case 2: return multiply_add<T, 2>(a, b, depth, out, at);
    case 3: return multiply_add<T, 3>(a, b, depth, out, at);
    case 4: return multiply_add<T, 4>(a, b, depth, out, at);
    case 5: return multiply_add<T, 5>(a, b, depth, out, at);
  }
}

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// (K, in, out) -> (K, panels, in, width): each panel of output channels contiguous, the last padded with zeros.
template <typename T>
std::vector<T> pack_panels(const T* weight, int64_t kernel, int64_t in, int64_t out) {
  constexpr int64_t width = Block<T>::kWidth;
  const int64_t panels = round_up(out, width) / width;
  std::vector<T> packed(kernel * panels * in * width, T(0));
  for (int64_t k = 0; k < kernel; ++k)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o)
        packed[((k * panels + o / width) * in + i) * width + o % width] = weight[(k * in + i) * out + o];
  return packed;
}

}  // namespace
