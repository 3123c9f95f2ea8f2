// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on the CPU, output-stationary: a thread owns a tile of output rows, so nothing races
// and the result does not depend on the number of threads. One gather form serves every convolution and its
// gradient:  out[v] = sum_k x[index[k, v]] W[k],  with the pairs (index[k, v], v) listed by tile, then by k.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "block.h"
#include "guard.h"
#include "team.h"

namespace {

constexpr int64_t kAhead = 12;      // pairs from a product to the rows that are fetched meanwhile
constexpr int64_t kNear = 1 << 20;  // bytes of input rows that are in a near cache without being fetched
constexpr int64_t kLine = 64;       // bytes of a cache line
constexpr int64_t kFew = 1 << 15;   // numbers that one thread has normalized before another has woken

// Pairs of an input row and an output row of a tile, as sphmask_list_pairs writes them.
struct Pairs {
  const int64_t* starts;  // (tiles * kernel + 1)
  const int32_t* source;  // (P) input rows
  const uint8_t* target;  // (P) output rows, counted in their tile
  int64_t rows, kernel, tile_rows;
  // Numbers of `starts`, of pairs and of input rows.
  int64_t start_count, count, inputs;

  int64_t tiles() const { return (rows + tile_rows - 1) / tile_rows; }
  int64_t begin(int64_t tile, int64_t k) const { return starts[tile * kernel + k]; }
  int64_t end(int64_t tile, int64_t k) const { return starts[tile * kernel + k + 1]; }

  // What is wrong with them, or null; what the tiles hold is checked by `valid`.
  const char* problem() const {
    return start_count == tiles() * kernel + 1
               ? kFine
               : "starts must have a number for each tile and offset, and one more";
  }

  // Whether all pairs of a tile name rows that there are; they are in the cache when they are used next.
  bool valid(int64_t tile) const {
    const int64_t first = begin(tile, 0), last = begin(tile + 1, 0);
    if (first < 0 || last > count) return false;
    for (int64_t k = 0; k < kernel; ++k)
      if (begin(tile, k) > end(tile, k)) return false;
    const auto last_row = static_cast<uint8_t>(std::min(rows - tile * tile_rows, tile_rows) - 1);
    uint32_t highest_source = 0;
    uint8_t highest_target = 0;
    for (int64_t p = first; p < last; ++p) {
      // A negative number becomes one beyond all rows.
      highest_source = std::max(highest_source, static_cast<uint32_t>(source[p]));
      highest_target = std::max(highest_target, target[p]);
    }
    return first == last || (highest_source < inputs && highest_target <= last_row);
  }
};

constexpr const char* kNoRow = "a pair names a row that there is not";

// Sums T of a tile's output rows, and the rows of numbers X whose products are added to them.
template <typename X, typename T>
struct Tile {
  const X* x;
  const Pairs& pairs;
  int64_t in, columns;  // in: numbers of a row of x
  T* sums;              // (tile_rows, columns)

  // Adds the products of pairs [first, last) with the weights of their offset, panel P after panel.
  template <typename P>
  void multiply(int64_t first, int64_t last, const X* weight) const {
    const bool far = pairs.inputs * in * static_cast<int64_t>(sizeof(X)) > kNear;
    const int64_t fetched = far ? pairs.count - kAhead - P::kRows : 0;
    for (int64_t at = 0; at < columns; at += P::kWidth)
      multiply_panel<P>(first, last, weight + at * in, at, at == 0 ? fetched : 0);
  }

private:
  // Input rows of the pairs that come kAhead later are fetched, up to pair `fetched`. Inlined, its loops
  // would share their registers with all that is around them.
  template <typename P>
  [[gnu::noinline]] void multiply_panel(int64_t first, int64_t last, const X* panel, int64_t at,
                                        int64_t fetched) const {
    constexpr int R = P::kRows;
    for (; first + R <= last; first += R) {
      for (int64_t next = first + kAhead; next < first + kAhead + R && first < fetched; ++next)
        for (int64_t i = 0; i < in; i += kLine / sizeof(X))
          __builtin_prefetch(x + pairs.source[next] * in + i);
      multiply_block<P, R>(first, panel, at);
    }
    multiply_rest<P, R - 1>(last - first, first, panel, at);
  }

  template <typename P, int R>
  void multiply_block(int64_t first, const X* panel, int64_t at) const {
    const X* a[R];
    T* out[R];
#pragma GCC unroll 16
    for (int m = 0; m < R; ++m) {
      a[m] = x + pairs.source[first + m] * in;
      out[m] = sums + pairs.target[first + m] * columns;
    }
    multiply_add<P, R>(a, panel, in, out, out, at);
  }

  // The last pairs, fewer than a block has.
  template <typename P, int R>
  void multiply_rest(int64_t count, int64_t first, const X* panel, int64_t at) const {
    if constexpr (R > 0) {
      if (count == R) return multiply_block<P, R>(first, panel, at);
      multiply_rest<P, R - 1>(count, first, panel, at);
    }
  }
};

// Batch norm with fixed statistics, (C) each, and ReLU; nothing where there is no mean.
template <typename T>
class NormRelu {
public:
  NormRelu() = default;
  NormRelu(const T* mean, const T* variance, const T* weight, const T* bias, double epsilon,
           int64_t channels) {
    for (int64_t c = 0; mean != nullptr && c < channels; ++c) {
      scale_.push_back(static_cast<T>(weight[c] / std::sqrt(variance[c] + epsilon)));
      shift_.push_back(bias[c] - mean[c] * scale_[c]);
    }
  }

  void apply(const T* x, int64_t channels, T* out) const {
    if (scale_.empty() && x != out) std::copy_n(x, channels, out);
    for (size_t c = 0; c < scale_.size(); ++c) out[c] = std::max(x[c] * scale_[c] + shift_[c], T(0));
  }

  void apply(const T* x, int64_t channels, Half* out) const {
    for (int64_t c = 0; c < channels; ++c) out[c] = Half(std::max(x[c] * scale_[c] + shift_[c], T(0)));
    if (channels % 2) out[channels] = Half(0);
  }

private:
  std::vector<T> scale_, shift_;
};

// Of rows of numbers X, summed in T, to rows of numbers Y.
template <typename X, typename T = X, typename Y = T>
struct Convolution {
  const X* x;
  const Pairs& pairs;
  // (K, panels, in, width): each panel of output channels contiguous, the last padded with zeros.
  const X* weight;
  const T* start;  // (V, out): added to the result; null: zero
  const NormRelu<T>& norm;
  Y* out;
  int64_t in, out_channels;

  template <typename P>
  const char* run(int64_t threads) const {
    const int64_t columns = round_up(out_channels, P::kWidth), tile_rows = pairs.tile_rows;
    const bool in_place = std::is_same_v<Y, T> && columns == out_channels;
    const int64_t scratch = in_place ? 0 : tile_rows * columns;
    Team<std::vector<T>> padded(threads, [&] { return std::vector<T>(scratch); });
    int64_t strange = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast<int>(threads)) reduction(+ : strange)
    for (int64_t t = 0; t < pairs.tiles(); ++t) {
      if (pairs.valid(t))
        run_tile<P>(t, columns, in_place ? sums_at(t * tile_rows) : padded.mine().data());
      else
        ++strange;
    }
    return strange == 0 ? kFine : kNoRow;
  }

private:
  T* sums_at(int64_t row) const {
    if constexpr (std::is_same_v<Y, T>)
      return out + row * out_channels;
    else
      return nullptr;
  }

  template <typename P>
  void run_tile(int64_t t, int64_t columns, T* sums) const {
    const int64_t first = t * pairs.tile_rows, count = std::min(pairs.rows - first, pairs.tile_rows);
    const int64_t length = row_length(x, in), length_out = row_length(out, out_channels);
    Y* const result = out + first * length_out;
    const Tile<X, T> tile{x, pairs, length, columns, sums};
    std::fill_n(sums, count * columns, T(0));
    for (int64_t v = 0; start != nullptr && v < count; ++v)
      std::copy_n(start + (first + v) * out_channels, out_channels, sums + v * columns);
    for (int64_t k = 0; k < pairs.kernel; ++k)
      tile.template multiply<P>(pairs.begin(t, k), pairs.end(t, k), weight + k * columns * length);
    for (int64_t v = 0; v < count; ++v) norm.apply(sums + v * columns, out_channels, result + v * length_out);
  }
};

// `width` output channels stand together in the weights.
template <typename X, typename T, typename Y>
const char* convolve(const Convolution<X, T, Y>& work, int64_t panels, int64_t width, int64_t threads) {
  if (width != Narrow<T>::kWidth && width != Wide<T>::kWidth) return "panels must be 64 or 128 bytes wide";
  if (panels * width != round_up(work.out_channels, width))
    return "panels must be as many as the outputs need";
  if (const char* problem = work.pairs.problem()) return problem;
  return guarded([&] {
    return width == Wide<T>::kWidth ? work.template run<Wide<T>>(threads)
                                    : work.template run<Narrow<T>>(threads);
  });
}

// Norm and ReLU of rows x (rows, channels).
template <typename T, typename Y>
void normalize(const NormRelu<T>& norm, const T* x, int64_t rows, int64_t channels, Y* out, int64_t threads) {
  const int64_t length = row_length(out, channels);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) if (rows * channels > kFew)
  for (int64_t v = 0; v < rows; ++v) norm.apply(x + v * channels, channels, out + v * length);
}

}  // namespace
