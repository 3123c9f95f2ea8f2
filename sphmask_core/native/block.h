// SPDX-License-Identifier: Apache-2.0
// Matrix products on a block of registers: a few rows against a panel of columns a few vectors wide.
// Included by the kernels, each with a copy of its own that the compiler may inline.
#pragma once

#include <cstdint>

#include "vectors.h"

namespace {

template <typename T>
struct Block {
  typedef T Vector __attribute__((vector_size(kVectorBytes), aligned(alignof(T))));
  static constexpr int kLane = kVectorBytes / sizeof(T);
  static constexpr int kWidth =
      64 / sizeof(T);  // output channels of a narrow panel; a wide one has twice as many
  static constexpr int kNarrow = kWidth / kLane, kWide = 2 * kNarrow;  // vectors of each
};

// Rows of the register block for panels of N vectors.
constexpr int block_rows(int vectors) { return kSums / vectors; }

template <typename T>
typename Block<T>::Vector& vector_at(T* p) {
  return *reinterpret_cast<typename Block<T>::Vector*>(p);
}

template <typename T>
const typename Block<T>::Vector& vector_at(const T* p) {
  return *reinterpret_cast<const typename Block<T>::Vector*>(p);
}

// out[m][at:at + width] += sum_i a[m][i] b[i][0:width] for R rows m; b is one panel, N vectors wide.
template <typename T, int R, int N>
void multiply_add(const T* const* a, const T* b, int64_t depth, T* const* out, int64_t at) {
  using V = typename Block<T>::Vector;
  constexpr int lane = Block<T>::kLane;
  V sum[R][N];
#pragma GCC unroll 6
  for (int m = 0; m < R; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sum[m][n] = vector_at(out[m] + at + n * lane);
#pragma GCC unroll 4
  for (int64_t i = 0; i < depth; ++i, b += N * lane) {
    // What there is less of, rows or columns, fits into the registers that hold no sums.
    if constexpr (N < R) {
      V column[N];
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) column[n] = vector_at(b + n * lane);
#pragma GCC unroll 6
      for (int m = 0; m < R; ++m)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) sum[m][n] += a[m][i] * column[n];
    } else {
      V factor[R];
#pragma GCC unroll 6
      for (int m = 0; m < R; ++m) factor[m] = a[m][i] - V{};  // minus zero costs nothing: a copy in each lane
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) {
        const V column = vector_at(b + n * lane);
#pragma GCC unroll 6
        for (int m = 0; m < R; ++m) sum[m][n] += factor[m] * column;
      }
    }
  }
#pragma GCC unroll 6
  for (int m = 0; m < R; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) vector_at(out[m] + at + n * lane) = sum[m][n];
}

// The last rows, fewer than a block has.
template <typename T, int R, int N>
void multiply_add_rest(int64_t rows, const T* const* a, const T* b, int64_t depth, T* const* out,
                       int64_t at) {
  if constexpr (R > 0) {
    if (rows == R) return multiply_add<T, R, N>(a, b, depth, out, at);
    multiply_add_rest<T, R - 1, N>(rows, a, b, depth, out, at);
  }
}

// The same for any number of rows, block by block.
template <typename T, int N = Block<T>::kNarrow>
void multiply_add_rows(int64_t rows, const T* const* a, const T* b, int64_t depth, T* const* out,
                       int64_t at) {
  constexpr int R = block_rows(N);
  for (; rows >= R; rows -= R, a += R, out += R) multiply_add<T, R, N>(a, b, depth, out, at);
  multiply_add_rest<T, R - 1, N>(rows, a, b, depth, out, at);
}

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// (K, in, out) -> packed (K, panels, in, width): each panel of output channels contiguous. What the last
// panel has beyond the output channels is left as it is.
template <typename T>
void pack_panels(const T* weight, int64_t kernel, int64_t in, int64_t out, T* packed) {
  constexpr int64_t width = Block<T>::kWidth;
  const int64_t panels = round_up(out, width) / width;
  for (int64_t k = 0; k < kernel; ++k)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o)
        packed[((k * panels + o / width) * in + i) * width + o % width] = weight[(k * in + i) * out + o];
}

}  // namespace
