// SPDX-License-Identifier: Apache-2.0
// Matrix products on a block of registers: a few rows against a panel of columns a few vectors wide.
// Included by the kernels, each with a copy of its own that the compiler may inline.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "vectors.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace {

// Columns that are computed together: `Vectors` vectors of `Bytes` bytes.
template <typename T, int Bytes, int Vectors>
struct Panel {
  typedef T Vector __attribute__((vector_size(Bytes), aligned(alignof(T))));
  static constexpr int kVectors = Vectors;
  static constexpr int kLane = Bytes / sizeof(T);
  static constexpr int kWidth = Vectors * kLane;                       // columns
  static constexpr int kRows = std::min(kSums / Vectors, kBlockRows);  // of the block of sums

  static Vector& vector_at(T* p) { return *reinterpret_cast<Vector*>(p); }
  static const Vector& vector_at(const T* p) { return *reinterpret_cast<const Vector*>(p); }
};

constexpr int kNarrowBytes = 64, kWideBytes = 128;  // as VECTOR_BYTES of cpu_engine.py has it

template <typename T>
using Narrow = Panel<T, kVectorBytes, kNarrowBytes / kVectorBytes>;

template <typename T>
using Wide = Panel<T, kLongVectorBytes, kWideBytes / kLongVectorBytes>;

// A bfloat16 number: the upper half of a float32. Rows of them have an even number.
struct Half {
  uint16_t bits;

  Half() = default;
  // To the nearest, of two equally near ones to the even one.
  explicit Half(float value) {
    uint32_t whole;
    std::memcpy(&whole, &value, sizeof whole);
    bits = static_cast<uint16_t>((whole + 0x7fff + (whole >> 16 & 1)) >> 16);
  }
};

inline int64_t row_length(const float*, int64_t channels) { return channels; }
inline int64_t row_length(const double*, int64_t channels) { return channels; }
inline int64_t row_length(const Half*, int64_t channels) { return channels + channels % 2; }

// A block of sums in registers: R rows of one panel P.
template <typename P, int R>
struct Sums {
  typename P::Vector of[R][P::kVectors];

  template <typename T>
  void load(const T* const* start, int64_t at) {
#pragma GCC unroll 16
    for (int m = 0; m < R; ++m)
#pragma GCC unroll 16
      for (int n = 0; n < P::kVectors; ++n) of[m][n] = P::vector_at(start[m] + at + n * P::kLane);
  }
  template <typename T>
  void store(T* const* out, int64_t at) const {
#pragma GCC unroll 16
    for (int m = 0; m < R; ++m)
#pragma GCC unroll 16
      for (int n = 0; n < P::kVectors; ++n) P::vector_at(out[m] + at + n * P::kLane) = of[m][n];
  }
};

// out[m][at:at + width] = start[m][at:at + width] + sum_i a[m][i] b[i][0:width] for R rows m; b is one panel
// P.
template <typename P, int R, typename T>
void multiply_add(const T* const* a, const T* b, int64_t depth, const T* const* start, T* const* out,
                  int64_t at) {
  using V = typename P::Vector;
  constexpr int N = P::kVectors, lane = P::kLane;
  Sums<P, R> sum;
  sum.load(start, at);
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
        for (int n = 0; n < N; ++n) sum.of[m][n] += a[m][i] * column[n];
    } else {
      V factor[R];
#pragma GCC unroll 16
      for (int m = 0; m < R; ++m) factor[m] = a[m][i] - V{};  // minus zero costs nothing: a copy in each lane
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) {
        const V column = P::vector_at(b + n * lane);
#pragma GCC unroll 16
        for (int m = 0; m < R; ++m) sum.of[m][n] += factor[m] * column;
      }
    }
  }
  sum.store(out, at);
}

// sum + the products of a pair with the pairs of a vector.
template <typename V>
V add_products(V sum, int32_t pair, V pairs) {
#if defined(__AVX512BF16__)
  return (V)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)pairs);
#else
  typedef int32_t Bits __attribute__((vector_size(sizeof(V))));
  const Bits bits = (Bits)pairs, low = bits << 16, high = bits & ~0xffff;
  const int32_t own_low = static_cast<int32_t>(static_cast<uint32_t>(pair) << 16), own_high = pair & ~0xffff;
  float a, b;
  std::memcpy(&a, &own_low, sizeof a), std::memcpy(&b, &own_high, sizeof b);
  return sum + a * (V)low + b * (V)high;
#endif
}

// The same of bfloat16 numbers, summed in float32; the rows of b stand by twos, (depth / 2, width, 2), as one
// instruction takes them.
template <typename P, int R>
void multiply_add(const Half* const* a, const Half* b, int64_t depth, const float* const* start,
                  float* const* out, int64_t at) {
  using V = typename P::Vector;
  constexpr int N = P::kVectors, lane = P::kLane;
  Sums<P, R> sum;
  sum.load(start, at);
  for (int64_t i = 0; i < depth; i += 2, b += 2 * N * lane) {
    V column[N];  // of pairs
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n) std::memcpy(&column[n], b + 2 * n * lane, sizeof(V));
#pragma GCC unroll 16
    for (int m = 0; m < R; ++m) {
      int32_t pair;
      std::memcpy(&pair, a[m] + i, sizeof pair);
#pragma GCC unroll 16
      for (int n = 0; n < N; ++n) sum.of[m][n] = add_products(sum.of[m][n], pair, column[n]);
    }
  }
  sum.store(out, at);
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
