// SPDX-License-Identifier: Apache-2.0
// Matrix products on a block of registers: a few rows against a panel of columns a few vectors wide.
// Included by the kernels, each with a copy of its own that the compiler may inline.
#pragma once

#include <algorithm>
#include <cstdint>

#include "vectors.h"

namespace {

// Columns that are computed together: `Vectors` vectors of `Bytes` bytes.
template <typename T, int Bytes, int Vectors>
struct Panel {
  typedef T Vector __attribute__((vector_size(Bytes), aligned(alignof(T))));
  static constexpr int kVectors = Vectors;
  static constexpr int kLane = Bytes / sizeof(T);
  static constexpr int kWidth = Vectors * kLane;  // columns
  static constexpr int kRows = kSums / Vectors;   // of the block of sums

  static Vector& vector_at(T* p) { return *reinterpret_cast<Vector*>(p); }
  static const Vector& vector_at(const T* p) { return *reinterpret_cast<const Vector*>(p); }
};

constexpr int kNarrowBytes = 64, kWideBytes = 128;  // as VECTOR_BYTES of cpu_engine.py has it

template <typename T>
using Narrow = Panel<T, kVectorBytes, kNarrowBytes / kVectorBytes>;

template <typename T>
using Wide = Panel<T, kLongVectorBytes, kWideBytes / kLongVectorBytes>;

// out[m][at:at + width] = start[m][at:at + width] + sum_i a[m][i] b[i][0:width] for R rows m; b is one panel
// P.
template <typename P, int R, typename T>
void multiply_add(const T* const* a, const T* b, int64_t depth, const T* const* start, T* const* out,
                  int64_t at) {
  using V = typename P::Vector;
  constexpr int N = P::kVectors, lane = P::kLane;
  V sum[R][N];
#pragma GCC unroll 16
  for (int m = 0; m < R; ++m)
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) sum[m][n] = P::vector_at(start[m] + at + n * lane);
#pragma GCC unroll 4
  for (int64_t i = 0; i < depth; ++i, b += N * lane) {
    // What there is less of, rows or columns, fits into the registers that hold no sums.
    if constexpr (N < R) {
      V column[N];
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) column[n] = P::vector_at(b + n * lane);
#pragma GCC unroll 16
      for (int m = 0; m < R; ++m)
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) sum[m][n] += a[m][i] * column[n];
    } else {
      V factor[R];
#pragma GCC unroll 16
      for (int m = 0; m < R; ++m) factor[m] = a[m][i] - V{};  // minus zero costs nothing: a copy in each lane
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) {
        const V column = P::vector_at(b + n * lane);
#pragma GCC unroll 16
        for (int m = 0; m < R; ++m) sum[m][n] += factor[m] * column;
      }
    }
  }
#pragma GCC unroll 16
  for (int m = 0; m < R; ++m)
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) P::vector_at(out[m] + at + n * lane) = sum[m][n];
}

// The last rows, fewer than a block has.
template <typename P, int R, typename T>
void multiply_add_rest(int64_t rows, const T* const* a, const T* b, int64_t depth, const T* const* start,
                       T* const* out, int64_t at) {
  if constexpr (R > 0) {
    if (rows == R) return multiply_add<P, R>(a, b, depth, start, out, at);
    multiply_add_rest<P, R - 1>(rows, a, b, depth, start, out, at);
  }
}

// The same for any number of rows, block by block, each beginning with the one row `start`.
template <typename P, typename T>
void multiply_add_rows(int64_t rows, const T* const* a, const T* b, int64_t depth, const T* start,
                       T* const* out, int64_t at) {
  constexpr int R = P::kRows;
  const T* starts[R];
  std::fill_n(starts, R, start);
  for (; rows >= R; rows -= R, a += R, out += R) multiply_add<P, R>(a, b, depth, starts, out, at);
  multiply_add_rest<P, R - 1>(rows, a, b, depth, starts, out, at);
}

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// (in, out) -> packed (panels, in, width): each panel of output channels contiguous. What the last panel has
// beyond the output channels is left as it is.
template <typename T>
void pack_panels(const T* weight, int64_t in, int64_t out, int64_t width, T* packed) {
  for (int64_t i = 0; i < in; ++i)
    for (int64_t o = 0; o < out; ++o) packed[(o / width * in + i) * width + o % width] = weight[i * out + o];
}

}  // namespace
