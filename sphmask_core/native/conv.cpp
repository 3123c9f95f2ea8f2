// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on the CPU, output-stationary: a thread owns a tile of output rows, so nothing races
// and the result does not depend on the number of threads. One gather form serves every convolution and its
// gradient:  out[v] = sum_k x[index[k, v]] W[k],  with the pairs (index[k, v], v) listed by tile, then by k.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "block.h"
#include "guard.h"
#include "kernels.h"
#include "team.h"

namespace {

constexpr int64_t kSlabTiles = 64;  // tiles whose weight gradients are summed apart
constexpr int64_t kAhead = 12;      // pairs from a product to the rows that are fetched meanwhile
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

// Sums of a tile's output rows, and what is added to them.
template <typename T>
struct Tile {
  const T* x;
  const Pairs& pairs;
  int64_t in, columns;
  T* sums;  // (tile_rows, columns)

  // Adds the products of pairs [first, last) with the weights of their offset, panel P after panel.
  template <typename P>
  void multiply(int64_t first, int64_t last, const T* weight) const {
    const int64_t fetched = pairs.count - kAhead - P::kRows;
    for (int64_t at = 0; at < columns; at += P::kWidth)
      multiply_panel<P>(first, last, weight + at * in, at, at == 0 ? fetched : 0);
  }

private:
  // Input rows of the pairs that come kAhead later are fetched, up to pair `fetched`. Inlined, its loops
  // would share their registers with all that is around them.
  template <typename P>
  [[gnu::noinline]] void multiply_panel(int64_t first, int64_t last, const T* panel, int64_t at,
                                        int64_t fetched) const {
    constexpr int R = P::kRows;
    for (; first + R <= last; first += R) {
      for (int64_t next = first + kAhead; next < first + kAhead + R && first < fetched; ++next)
        for (int64_t i = 0; i < in; i += kLine / sizeof(T))
          __builtin_prefetch(x + pairs.source[next] * in + i);
      multiply_block<P, R>(first, panel, at);
    }
    multiply_rest<P, R - 1>(last - first, first, panel, at);
  }

  template <typename P, int R>
  void multiply_block(int64_t first, const T* panel, int64_t at) const {
    const T* a[R];
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
  void multiply_rest(int64_t count, int64_t first, const T* panel, int64_t at) const {
    if constexpr (R > 0) {
      if (count == R) return multiply_block<P, R>(first, panel, at);
      multiply_rest<P, R - 1>(count, first, panel, at);
    }
  }
};

// Batch norm with fixed statistics, (C) each, and ReLU; none where there is no mean.
template <typename T>
class NormRelu {
public:
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

private:
  std::vector<T> scale_, shift_;
};

template <typename T>
struct Convolution {
  const T* x;
  const Pairs& pairs;
  // (K, panels, in, width): each panel of output channels contiguous, the last padded with zeros.
  const T* weight;
  const T* start;  // (V, out): added to the result; null: zero
  const NormRelu<T>& norm;
  T* out;
  int64_t in, out_channels;

  template <typename P>
  const char* run(int64_t threads) const {
    const int64_t columns = round_up(out_channels, P::kWidth), tile_rows = pairs.tile_rows;
    const bool in_place = columns == out_channels;
    const int64_t scratch = in_place ? 0 : tile_rows * columns;
    Team<std::vector<T>> padded(threads, [&] { return std::vector<T>(scratch); });
    int64_t strange = 0;
#pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast<int>(threads)) reduction(+ : strange)
    for (int64_t t = 0; t < pairs.tiles(); ++t) {
      if (pairs.valid(t))
        run_tile<P>(t, columns, in_place ? out + t * tile_rows * out_channels : padded.mine().data());
      else
        ++strange;
    }
    return strange == 0 ? kFine : kNoRow;
  }

private:
  template <typename P>
  void run_tile(int64_t t, int64_t columns, T* sums) const {
    const int64_t first = t * pairs.tile_rows, count = std::min(pairs.rows - first, pairs.tile_rows);
    T* const result = out + first * out_channels;
    const Tile<T> tile{x, pairs, in, columns, sums};
    std::fill_n(sums, count * columns, T(0));
    for (int64_t v = 0; start != nullptr && v < count; ++v)
      std::copy_n(start + (first + v) * out_channels, out_channels, sums + v * columns);
    for (int64_t k = 0; k < pairs.kernel; ++k)
      tile.template multiply<P>(pairs.begin(t, k), pairs.end(t, k), weight + k * columns * in);
    for (int64_t v = 0; v < count; ++v)
      norm.apply(sums + v * columns, out_channels, result + v * out_channels);
  }
};

// `width` output channels stand together in the weights.
template <typename T>
const char* convolve(const Convolution<T>& work, int64_t panels, int64_t width, int64_t threads) {
  if (width != Narrow<T>::kWidth && width != Wide<T>::kWidth) return "panels must be 64 or 128 bytes wide";
  if (panels * width != round_up(work.out_channels, width))
    return "panels must be as many as the outputs need";
  if (const char* problem = work.pairs.problem()) return problem;
  return guarded([&] {
    return width == Wide<T>::kWidth ? work.template run<Wide<T>>(threads)
                                    : work.template run<Narrow<T>>(threads);
  });
}

// sum[i][0:width] += x[source[p]][i] g[target[p]][0:width] over the pairs p of [first, last), for R rows i.
template <typename P, int R, typename T>
void outer_products(const T* x, int64_t in, const T* g, int64_t padded, const Pairs& pairs, int64_t first,
                    int64_t last, T* sum) {
  using V = typename P::Vector;
  constexpr int N = P::kVectors, lane = P::kLane;
  V sums[R][N];
#pragma GCC unroll 16
  for (int m = 0; m < R; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) sums[m][n] = P::vector_at(sum + m * padded + n * lane);
  for (int64_t p = first; p < last; ++p) {
    const T* a = x + pairs.source[p] * in;
    const T* b = g + pairs.target[p] * padded;
    V column[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) column[n] = P::vector_at(b + n * lane);
#pragma GCC unroll 16
    for (int m = 0; m < R; ++m)
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) sums[m][n] += a[m] * column[n];
  }
#pragma GCC unroll 16
  for (int m = 0; m < R; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) P::vector_at(sum + m * padded + n * lane) = sums[m][n];
}

// The same for `rows` rows, R or fewer.
template <typename P, int R, typename... Rest>
void outer_products_of(int64_t rows, Rest... rest) {
  if constexpr (R > 0) {
    if (rows >= R) return outer_products<P, R>(rest...);
    outer_products_of<P, R - 1>(rows, rest...);
  }
}

template <typename T>
std::vector<T> pad_rows(const T* x, int64_t rows, int64_t columns, int64_t padded) {
  std::vector<T> out(rows * padded, T(0));
  for (int64_t v = 0; v < rows; ++v) std::copy_n(x + v * columns, columns, out.data() + v * padded);
  return out;
}

// sum += x^T g over the pairs of a tile at one kernel offset; sum (in, padded), g (tile_rows, padded).
template <typename P, typename T>
void add_outer_products(const T* x, int64_t in, const T* g, int64_t padded, const Pairs& pairs, int64_t first,
                        int64_t last, T* sum) {
  for (int64_t o = 0; o < padded; o += P::kWidth)
    for (int64_t i = 0; i < in; i += P::kRows)
      outer_products_of<P, P::kRows>(in - i, x + i, in, g + o, padded, pairs, first, last,
                                     sum + i * padded + o);
}

// grad[k] = sum_v x[index[k, v]]^T g[v]. Tiles are cut into slabs, each with a sum of its own, whatever the
// number of threads; within a slab all kernel offsets pass over a tile while it is in the cache.
template <typename T>
const char* weight_gradient(const T* x, const Pairs& pairs, const T* g, T* grad, int64_t in,
                            int64_t out_channels, int64_t threads) {
  if (const char* problem = pairs.problem()) return problem;
  for (int64_t t = 0; t < pairs.tiles(); ++t)
    if (!pairs.valid(t)) return kNoRow;
  const int64_t kernel = pairs.kernel, tiles = pairs.tiles();
  const int64_t padded = round_up(out_channels, Narrow<T>::kWidth),
                slabs = std::max<int64_t>(1, tiles / kSlabTiles);
  const int64_t tasks = slabs > 1 ? slabs : kernel, size = kernel * in * padded;
  const std::vector<T> aligned =
      padded == out_channels ? std::vector<T>() : pad_rows(g, pairs.rows, out_channels, padded);
  const T* gs = aligned.empty() ? g : aligned.data();
  std::vector<T> sums(slabs * size, T(0));
  // Wide panels pay where they leave registers for more rows than they have vectors.
  using Best = std::conditional_t<(Wide<T>::kVectors < Wide<T>::kRows), Wide<T>, Narrow<T>>;
  const auto add =
      padded % Best::kWidth == 0 ? add_outer_products<Best, T> : add_outer_products<Narrow<T>, T>;
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; ++task) {
      const int64_t slab = slabs > 1 ? task : 0, k_first = slabs > 1 ? 0 : task,
                    k_last = slabs > 1 ? kernel : task + 1;
      const int64_t end = slab + 1 == slabs ? tiles : (slab + 1) * kSlabTiles;
      for (int64_t t = slab * kSlabTiles; t < end; ++t)
        for (int64_t k = k_first; k < k_last; ++k)
          add(x, in, gs + t * pairs.tile_rows * padded, padded, pairs, pairs.begin(t, k), pairs.end(t, k),
              sums.data() + slab * size + k * in * padded);
    }
#pragma omp for schedule(static)
    for (int64_t row = 0; row < kernel * in; ++row) {
      T* total = sums.data() + row * padded;
      for (int64_t slab = 1; slab < slabs; ++slab)
        for (int64_t o = 0; o < padded; ++o) total[o] += sums[slab * size + row * padded + o];
      std::copy_n(total, out_channels, grad + row * out_channels);
    }
  }
  return kFine;
}

}  // namespace

const char* sphmask_gather_convolve_f32(const float* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const float* packed, float* convolved,
                                        const float* start, const float* mean, const float* variance,
                                        const float* weight, const float* bias, double epsilon,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t kernel, int64_t panels, int64_t width,
                                        int64_t rows, int64_t out, int64_t threads) {
  if (mean && !(variance && weight && bias)) return "a norm needs mean, variance, weight and bias";
  return guarded([&] {
    const NormRelu<float> norm(mean, variance, weight, bias, epsilon, out);
    const Pairs listed{starts, source, target, rows, kernel, tile_rows, start_count, pairs, inputs};
    return convolve<float>({x, listed, packed, start, norm, convolved, in, out}, panels, width, threads);
  });
}

const char* sphmask_gather_convolve_f64(const double* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const double* packed, double* convolved,
                                        const double* start, const double* mean, const double* variance,
                                        const double* weight, const double* bias, double epsilon,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t kernel, int64_t panels, int64_t width,
                                        int64_t rows, int64_t out, int64_t threads) {
  if (mean && !(variance && weight && bias)) return "a norm needs mean, variance, weight and bias";
  return guarded([&] {
    const NormRelu<double> norm(mean, variance, weight, bias, epsilon, out);
    const Pairs listed{starts, source, target, rows, kernel, tile_rows, start_count, pairs, inputs};
    return convolve<double>({x, listed, packed, start, norm, convolved, in, out}, panels, width, threads);
  });
}

const char* sphmask_weight_gradient_f32(const float* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const float* grad, float* weight_grad,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t rows, int64_t out, int64_t kernel,
                                        int64_t threads) {
  return guarded([&] {
    const Pairs listed{starts, source, target, rows, kernel, tile_rows, start_count, pairs, inputs};
    return weight_gradient(x, listed, grad, weight_grad, in, out, threads);
  });
}

const char* sphmask_weight_gradient_f64(const double* x, const int64_t* starts, const int32_t* source,
                                        const uint8_t* target, const double* grad, double* weight_grad,
                                        int64_t tile_rows, int64_t inputs, int64_t in, int64_t start_count,
                                        int64_t pairs, int64_t rows, int64_t out, int64_t kernel,
                                        int64_t threads) {
  return guarded([&] {
    const Pairs listed{starts, source, target, rows, kernel, tile_rows, start_count, pairs, inputs};
    return weight_gradient(x, listed, grad, weight_grad, in, out, threads);
  });
}

const char* sphmask_norm_relu(const float* x, const float* mean, const float* variance, const float* weight,
                              const float* bias, float* changed, double epsilon, int64_t rows,
                              int64_t channels, int64_t threads) {
  return guarded([&] {
    const NormRelu<float> norm(mean, variance, weight, bias, epsilon, channels);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) if (rows * channels > kFew)
    for (int64_t v = 0; v < rows; ++v) norm.apply(x + v * channels, channels, changed + v * channels);
    return kFine;
  });
}
