// SPDX-License-Identifier: Apache-2.0
// Sparse convolutions (conv.h) one by one, and the gradients of their weights.
#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "block.h"
#include "conv.h"
#include "guard.h"
#include "kernels.h"

namespace {

constexpr int64_t kSlabTiles = 64;  // tiles whose weight gradients are summed apart

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
    const Convolution<float> work{x, listed, packed, start, norm, convolved, in, out};
    return convolve(work, panels, width, threads);
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
    const Convolution<double> work{x, listed, packed, start, norm, convolved, in, out};
    return convolve(work, panels, width, threads);
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
    normalize(NormRelu<float>(mean, variance, weight, bias, epsilon, channels), x, rows, channels, changed,
              threads);
    return kFine;
  });
}
