// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on the CPU, output-stationary: a thread owns a tile of output rows, so nothing races
// and the result does not depend on the number of threads. One gather form serves every convolution and
// its gradient:  out[v] = sum_k x[index[k, v]] W[k],  index -1 = no voxel there.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "block.h"

namespace {

constexpr int64_t kTileRows = 128;   // output rows that stay in the cache while all kernel offsets pass
constexpr int64_t kBlockRows = 512;  // rows of the weight gradient that stay in the cache for all kernel offsets
constexpr int64_t kSlabRows = 8192;  // rows whose weight gradients are summed apart

// Rows of [first, last) that have a voxel at one kernel offset, and the input rows they read.
struct Pairs {
  std::vector<int32_t> output, input;
  int64_t count = 0;
  explicit Pairs(int64_t capacity) : output(capacity), input(capacity) {}
  void collect(const int32_t* index, int64_t first, int64_t last) {
    count = 0;
    for (int64_t v = first; v < last; ++v) {  // no branch to mispredict: the next pair overwrites an absent one
      output[count] = static_cast<int32_t>(v - first);
      input[count] = index[v];
      count += index[v] >= 0;
    }
  }
};

template <typename T>
void convolve(const T* x, const int32_t* index, const T* weight, T* out, int64_t rows, int64_t kernel, int64_t in,
              int64_t out_channels, int64_t threads) {
  constexpr int64_t width = Block<T>::kWidth;
  const int64_t padded = round_up(out_channels, width), panels = padded / width;
  const std::vector<T> packed = pack_panels(weight, kernel, in, out_channels);
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
    Pairs pairs(kTileRows);
    std::vector<T> tile(kTileRows * padded);
    const T* source[kTileRows];
    T* target[kTileRows];
#pragma omp for schedule(dynamic, 1)
    for (int64_t first = 0; first < rows; first += kTileRows) {
      const int64_t last = std::min(rows, first + kTileRows);
      std::fill(tile.begin(), tile.end(), T(0));
      for (int64_t k = 0; k < kernel; ++k) {
        pairs.collect(index + k * rows, first, last);
        for (int64_t p = 0; p < pairs.count; ++p) {
          source[p] = x + pairs.input[p] * in;
          target[p] = tile.data() + pairs.output[p] * padded;
        }
        for (int64_t panel = 0; panel < panels; ++panel) {
          const T* w = packed.data() + (k * panels + panel) * in * width;
          multiply_add_rows(pairs.count, source, w, in, target, panel * width);
        }
      }
      for (int64_t v = first; v < last; ++v)
        std::copy_n(tile.data() + (v - first) * padded, out_channels, out + v * out_channels);
    }
  }
}

// sum[i][0:width] += x[input[p]][i] g[output[p]][0:width] over all pairs p, for R rows i.
template <typename T, int R>
void outer_products(const T* x, int64_t in, const T* g, int64_t padded, const Pairs& pairs, T* sum) {
  using V = typename Block<T>::Vector;
  V low[R], high[R];
  for (int m = 0; m < R; ++m) {
    low[m] = vector_at(sum + m * padded);
    high[m] = vector_at(sum + m * padded + Block<T>::kLane);
  }
  for (int64_t p = 0; p < pairs.count; ++p) {
    const T* a = x + pairs.input[p] * in;
    const T* b = g + pairs.output[p] * padded;
    const V b_low = vector_at(b), b_high = vector_at(b + Block<T>::kLane);
#pragma GCC unroll 6
    for (int m = 0; m < R; ++m) {
      low[m] += a[m] * b_low;
      high[m] += a[m] * b_high;
    }
  }
  for (int m = 0; m < R; ++m) {
    vector_at(sum + m * padded) = low[m];
    vector_at(sum + m * padded + Block<T>::kLane) = high[m];
  }
}

template <typename T>
void add_outer_products(const T* x, const T* g, const Pairs& pairs, int64_t in, int64_t padded, T* sum) {
  for (int64_t o = 0; o < padded; o += Block<T>::kWidth)
    for (int64_t i = 0; i < in; i += kRows) {
      T* target = sum + i * padded + o;
      switch (std::min<int64_t>(kRows, in - i)) {
        case 1: outer_products<T, 1>(x + i, in, g + o, padded, pairs, target); break;
        case 2: outer_products<T, 2>(x + i, in, g + o, padded, pairs, target); break;
        case 3: outer_products<T, 3>(x + i, in, g + o, padded, pairs, target); break;
        case 4: outer_products<T, 4>(x + i, in, g + o, padded, pairs, target); break;
        case 5: outer_products<T, 5>(x + i, in, g + o, padded, pairs, target); break;
        default: outer_products<T, 6>(x + i, in, g + o, padded, pairs, target);
      }
    }
}

template <typename T>
std::vector<T> pad_rows(const T* x, int64_t rows, int64_t columns, int64_t padded) {
  std::vector<T> out(rows * padded, T(0));
  for (int64_t v = 0; v < rows; ++v) std::copy_n(x + v * columns, columns, out.data() + v * padded);
  return out;
}

// grad[k] = sum_v x[index[k, v]]^T g[v]. Rows are cut into slabs, each with a sum of its own, whatever the number
// of threads; within a slab all kernel offsets pass over a block of rows while it is in the cache.
template <typename T>
void weight_gradient(const T* x, const int32_t* index, const T* g, T* grad, int64_t rows, int64_t kernel, int64_t in,
                     int64_t out_channels, int64_t threads) {
  constexpr int64_t width = Block<T>::kWidth;
  const int64_t padded = round_up(out_channels, width), slabs = std::max<int64_t>(1, rows / kSlabRows);
  const int64_t tasks = slabs > 1 ? slabs : kernel, size = kernel * in * padded;
  const std::vector<T> aligned = padded == out_channels ? std::vector<T>() : pad_rows(g, rows, out_channels, padded);
  const T* gs = aligned.empty() ? g : aligned.data();
  std::vector<T> sums(slabs * size, T(0));
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
    Pairs pairs(kBlockRows);
#pragma omp for schedule(dynamic, 1)
    for (int64_t task = 0; task < tasks; ++task) {
      const int64_t slab = slabs > 1 ? task : 0, k_first = slabs > 1 ? 0 : task, k_last = slabs > 1 ? kernel : task + 1;
      const int64_t end = slab + 1 == slabs ? rows : (slab + 1) * kSlabRows;
      for (int64_t first = slab * kSlabRows; first < end; first += kBlockRows)
        for (int64_t k = k_first; k < k_last; ++k) {
          pairs.collect(index + k * rows, first, std::min(end, first + kBlockRows));
          add_outer_products(x, gs + first * padded, pairs, in, padded, sums.data() + slab * size + k * in * padded);
        }
    }
#pragma omp for schedule(static)
    for (int64_t row = 0; row < kernel * in; ++row) {
      T* total = sums.data() + row * padded;
      for (int64_t slab = 1; slab < slabs; ++slab)
        for (int64_t o = 0; o < padded; ++o) total[o] += sums[slab * size + row * padded + o];
      std::copy_n(total, out_channels, grad + row * out_channels);
    }
  }
}

}  // namespace

extern "C" {

void sphmask_convolve_f32(const float* x, const int32_t* index, const float* weight, float* out, int64_t rows,
                          int64_t kernel, int64_t in, int64_t out_channels, int64_t threads) {
  convolve(x, index, weight, out, rows, kernel, in, out_channels, threads);
}

void sphmask_convolve_f64(const double* x, const int32_t* index, const double* weight, double* out, int64_t rows,
                          int64_t kernel, int64_t in, int64_t out_channels, int64_t threads) {
  convolve(x, index, weight, out, rows, kernel, in, out_channels, threads);
}

void sphmask_weight_gradient_f32(const float* x, const int32_t* index, const float* g, float* grad, int64_t rows,
                                 int64_t kernel, int64_t in, int64_t out_channels, int64_t threads) {
  weight_gradient(x, index, g, grad, rows, kernel, in, out_channels, threads);
}

void sphmask_weight_gradient_f64(const double* x, const int32_t* index, const double* g, double* grad, int64_t rows,
                                 int64_t kernel, int64_t in, int64_t out_channels, int64_t threads) {
  weight_gradient(x, index, g, grad, rows, kernel, in, out_channels, threads);
}

}  // extern "C"
