// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on the CPU, output-stationary: a thread owns a tile of output rows, so nothing races
// and the result does not depend on the number of threads. One gather form serves every convolution and
// its gradient:  out[v] = sum_k x[index[k, v]] W[k],  index -1 = no voxel there.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "block.h"

namespace {

constexpr int64_t kTileRows = 128;   // output rows that stay in the cache while all kernel offsets pass
constexpr int64_t kBlockRows = 512;  // rows of the weight gradient that stay in the cache for all kernel offsets
constexpr int64_t kSlabRows = 8192;  // rows whose weight gradients are summed apart
constexpr int64_t kGroup = 32;       // entries of a map that are looked at together
constexpr int64_t kLine = 64;        // bytes of a cache line
constexpr int kRows = block_rows(2);

// Bit j is set where entries[j] is a row, for kGroup entries.
uint32_t present(const int32_t* entries) {
  typedef int32_t Ints __attribute__((vector_size(32), aligned(4)));
  typedef uint32_t Bits __attribute__((vector_size(32)));
  const Bits lane = {1, 2, 4, 8, 16, 32, 64, 128};
  Bits found{};
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const Ints row = *reinterpret_cast<const Ints*>(entries + 8 * j);
    found |= (reinterpret_cast<Bits>(row >= 0) & lane) << (8 * j);
  }
  uint32_t bits = 0;
  for (int j = 0; j < 8; ++j) bits |= found[j];
  return bits;
}

// Calls visit(v, index[v]) for the rows v of [first, last) that have a voxel.
template <typename Visit>
void each_pair(const int32_t* index, int64_t first, int64_t last, Visit visit) {
  for (; first + kGroup <= last; first += kGroup)
    for (uint32_t bits = present(index + first); bits; bits &= bits - 1) {
      const int64_t v = first + __builtin_ctz(bits);
      visit(v, index[v]);
    }
  for (; first < last; ++first)
    if (index[first] >= 0) visit(first, index[first]);
}

// Sums of kTileRows output rows, and where the pairs of one kernel offset read and add.
template <typename T>
class Tile {
public:
  explicit Tile(int64_t columns) : columns_(columns), lines_(kTileRows * columns * sizeof(T) / kLine) {}

  T* row(int64_t v) { return reinterpret_cast<T*>(lines_.data()) + v * columns_; }

  void collect(const T* x, int64_t in, const int32_t* index, int64_t first, int64_t last) {
    pairs_ = 0;
    each_pair(index, first, last, [&](int64_t v, int64_t input) {
      source_[pairs_] = x + input * in;
      for (int64_t i = 0; i < in; i += kLine / sizeof(T)) __builtin_prefetch(source_[pairs_] + i);
      target_[pairs_++] = row(v - first);
    });
  }

  // Adds the products of all pairs with the weights of their offset, panel after panel.
  template <int N>
  void multiply(const T* weight, int64_t in) {
    constexpr int64_t width = N * Block<T>::kLane;
    for (int64_t at = 0; at < columns_; at += width)
      multiply_add_rows<T, N>(pairs_, source_, weight + at * in, in, target_, at);
  }

private:
  struct alignas(kLine) Line {
    char bytes[kLine];
  };
  int64_t columns_, pairs_ = 0;
  std::vector<Line> lines_;
  const T* source_[kTileRows];
  T* target_[kTileRows];
};

// Batch norm with fixed statistics, (C) each, and ReLU; none where there is no mean.
template <typename T>
class NormRelu {
public:
  NormRelu(const T* mean, const T* variance, const T* weight, const T* bias, double epsilon, int64_t channels) {
    for (int64_t c = 0; mean != nullptr && c < channels; ++c) {
      scale_.push_back(static_cast<T>(weight[c] / std::sqrt(variance[c] + epsilon)));
      shift_.push_back(bias[c] - mean[c] * scale_[c]);
    }
  }

  void apply(const T* x, int64_t channels, T* out) const {
    if (scale_.empty()) std::copy_n(x, channels, out);
    for (size_t c = 0; c < scale_.size(); ++c) out[c] = std::max(x[c] * scale_[c] + shift_[c], T(0));
  }

private:
  std::vector<T> scale_, shift_;
};

template <typename T>
struct Convolution {
  const T* x;
  const int32_t* index;
  const T* weight;  // (K, panels, in, width): each panel of output channels contiguous, the last padded with zeros
  const T* start;   // (V, out): added to the result; null: zero
  const NormRelu<T>& norm;
  T* out;
  int64_t rows, kernel, in, out_channels;

  template <int N>
  void run(int threads) const {
    const int64_t columns = round_up(out_channels, N * Block<T>::kLane);
#pragma omp parallel num_threads(threads)
    {
      Tile<T> tile(columns);
#pragma omp for schedule(dynamic, 1)
      for (int64_t first = 0; first < rows; first += kTileRows) {
        const int64_t last = std::min(rows, first + kTileRows);
        std::fill(tile.row(0), tile.row(kTileRows), T(0));
        for (int64_t v = first; start != nullptr && v < last; ++v)
          std::copy_n(start + v * out_channels, out_channels, tile.row(v - first));
        for (int64_t k = 0; k < kernel; ++k) {
          tile.collect(x, in, index + k * rows, first, last);
          tile.template multiply<N>(weight + k * columns * in, in);
        }
        for (int64_t v = first; v < last; ++v)
          norm.apply(tile.row(v - first), out_channels, out + v * out_channels);
      }
    }
  }
};

// `panel` output channels stand together in the weights: two or four vectors of them.
template <typename T>
void convolve(const Convolution<T>& work, int64_t panel, int64_t threads) {
  if (panel == Block<T>::kWidth) return work.template run<2>(static_cast<int>(threads));
  work.template run<4>(static_cast<int>(threads));
}

// Rows of [first, last) that have a voxel at one kernel offset, and the input rows they read.
struct Pairs {
  std::vector<int32_t> output, input;
  int64_t count = 0;
  explicit Pairs(int64_t capacity) : output(capacity), input(capacity) {}
  void collect(const int32_t* index, int64_t first, int64_t last) {
    count = 0;
    each_pair(index, first, last, [&](int64_t v, int32_t row) {
      output[count] = static_cast<int32_t>(v - first);
      input[count++] = row;
    });
  }
};

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

void sphmask_gather_convolve_f32(const float* x, const int32_t* index, const float* weight, const float* start,
                                 const float* mean, const float* variance, const float* norm_weight, const float* bias,
                                 double epsilon, float* out, int64_t rows, int64_t kernel, int64_t in,
                                 int64_t out_channels, int64_t panel, int64_t threads) {
  const NormRelu<float> norm(mean, variance, norm_weight, bias, epsilon, out_channels);
  convolve<float>({x, index, weight, start, norm, out, rows, kernel, in, out_channels}, panel, threads);
}

void sphmask_gather_convolve_f64(const double* x, const int32_t* index, const double* weight, const double* start,
                                 const double* mean, const double* variance, const double* norm_weight, const double* bias,
                                 double epsilon, double* out, int64_t rows, int64_t kernel, int64_t in,
                                 int64_t out_channels, int64_t panel, int64_t threads) {
  const NormRelu<double> norm(mean, variance, norm_weight, bias, epsilon, out_channels);
  convolve<double>({x, index, weight, start, norm, out, rows, kernel, in, out_channels}, panel, threads);
}

void sphmask_weight_gradient_f32(const float* x, const int32_t* index, const float* g, float* grad, int64_t rows,
                                 int64_t kernel, int64_t in, int64_t out_channels, int64_t threads) {
  weight_gradient(x, index, g, grad, rows, kernel, in, out_channels, threads);
}

void sphmask_weight_gradient_f64(const double* x, const int32_t* index, const double* g, double* grad, int64_t rows,
                                 int64_t kernel, int64_t in, int64_t out_channels, int64_t threads) {
  weight_gradient(x, index, g, grad, rows, kernel, in, out_channels, threads);
}

// ReLU and norm of x (rows, channels).
void sphmask_norm_relu(const float* x, const float* mean, const float* variance, const float* weight, const float* bias,
                       double epsilon, float* out, int64_t rows, int64_t channels, int64_t threads) {
  const NormRelu<float> norm(mean, variance, weight, bias, epsilon, channels);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t v = 0; v < rows; ++v) norm.apply(x + v * channels, channels, out + v * channels);
}

}  // extern "C"
