// SPDX-License-Identifier: Apache-2.0
// Sparse convolution on the CPU, output-stationary: a thread owns a tile of output rows, so nothing races
// and the result does not depend on the number of threads. One gather form serves every convolution and
// its gradient:  out[v] = sum_k x[index[v, k]] W[k],  index -1 = no voxel there.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

constexpr int64_t kTileRows = 128;  // output rows that stay in the cache while all kernel offsets pass
constexpr int kRows = 6;            // rows of the register block: 6 x 2 vectors of accumulators
constexpr int kPairs = 256;         // gathered rows of one weight-gradient block

template <typename T>
struct Block {
  typedef T Vector __attribute__((vector_size(32), aligned(alignof(T))));
  static constexpr int kLane = 32 / sizeof(T);
  static constexpr int kWidth = 2 * kLane;  // output channels of the register block
};

template <typename T>
inline typename Block<T>::Vector& vector_at(T* p) {
  return *reinterpret_cast<typename Block<T>::Vector*>(p);
}

template <typename T>
inline const typename Block<T>::Vector& vector_at(const T* p) {
  return *reinterpret_cast<const typename Block<T>::Vector*>(p);
}

// out[m][0:width] += sum_i a[m][i * a_step] b[i * b_step + 0:width] for R rows m.
template <typename T, int R>
void multiply_add(const T* const* a, int64_t a_step, const T* b, int64_t b_step, int64_t depth, T* const* out) {
  using V = typename Block<T>::Vector;
  V low[R], high[R];
  for (int m = 0; m < R; ++m) {
    low[m] = vector_at(out[m]);
    high[m] = vector_at(out[m] + Block<T>::kLane);
  }
  for (int64_t i = 0; i < depth; ++i) {
    const V b_low = vector_at(b + i * b_step), b_high = vector_at(b + i * b_step + Block<T>::kLane);
#pragma GCC unroll 6
    for (int m = 0; m < R; ++m) {
      const T scale = a[m][i * a_step];
      low[m] += scale * b_low;
      high[m] += scale * b_high;
    }
  }
  for (int m = 0; m < R; ++m) {
    vector_at(out[m]) = low[m];
    vector_at(out[m] + Block<T>::kLane) = high[m];
  }
}

template <typename T>
void multiply_add_rows(int rows, const T* const* a, int64_t a_step, const T* b, int64_t b_step, int64_t depth,
                       T* const* out) {
  switch (rows) {
    case 1: return multiply_add<T, 1>(a, a_step, b, b_step, depth, out);
    case 2: return multiply_add<T, 2>(a, a_step, b, b_step, depth, out);
    case 3: return multiply_add<T, 3>(a, a_step, b, b_step, depth, out);
    case 4: return multiply_add<T, 4>(a, a_step, b, b_step, depth, out);
    case 5: return multiply_add<T, 5>(a, a_step, b, b_step, depth, out);
    default: return multiply_add<T, 6>(a, a_step, b, b_step, depth, out);
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

// Rows of a tile that have a voxel at offset k, and the input rows they read.
struct Pairs {
  std::vector<int32_t> output, input;
  void collect(const int32_t* index, int64_t first, int64_t last, int64_t kernel, int64_t k) {
    output.clear();
    input.clear();
    for (int64_t v = first; v < last; ++v)
      if (const int32_t u = index[v * kernel + k]; u >= 0) {
        output.push_back(static_cast<int32_t>(v - first));
        input.push_back(u);
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
    Pairs pairs;
    std::vector<T> tile(kTileRows * padded);
#pragma omp for schedule(dynamic, 1)
    for (int64_t first = 0; first < rows; first += kTileRows) {
      const int64_t last = std::min(rows, first + kTileRows);
      std::fill(tile.begin(), tile.end(), T(0));
      for (int64_t k = 0; k < kernel; ++k) {
        pairs.collect(index, first, last, kernel, k);
        const int64_t count = static_cast<int64_t>(pairs.output.size());
        for (int64_t panel = 0; panel < panels; ++panel) {
          const T* w = packed.data() + (k * panels + panel) * in * width;
          for (int64_t p = 0; p < count; p += kRows) {
            const int group = static_cast<int>(std::min<int64_t>(kRows, count - p));
            const T* source[kRows];
            T* target[kRows];
            for (int m = 0; m < group; ++m) {
              source[m] = x + pairs.input[p + m] * in;
              target[m] = tile.data() + pairs.output[p + m] * padded + panel * width;
            }
            multiply_add_rows(group, source, 1, w, width, in, target);
          }
        }
      }
      for (int64_t v = first; v < last; ++v)
        std::copy_n(tile.data() + (v - first) * padded, out_channels, out + v * out_channels);
    }
  }
}

// grad[k] = sum_v x[index[v, k]]^T g[v], one kernel offset per task.
template <typename T>
void weight_gradient(const T* x, const int32_t* index, const T* g, T* grad, int64_t rows, int64_t kernel, int64_t in,
                     int64_t out_channels, int64_t threads) {
  constexpr int64_t width = Block<T>::kWidth;
  const int64_t padded = round_up(out_channels, width);
#pragma omp parallel num_threads(static_cast<int>(threads))
  {
    Pairs pairs;
    std::vector<T> xs(kPairs * in), gs(kPairs * padded, T(0)), sum(in * padded);
#pragma omp for schedule(dynamic, 1)
    for (int64_t k = 0; k < kernel; ++k) {
      pairs.collect(index, 0, rows, kernel, k);
      std::fill(sum.begin(), sum.end(), T(0));
      const int64_t count = static_cast<int64_t>(pairs.output.size());
      for (int64_t first = 0; first < count; first += kPairs) {
        const int64_t block = std::min<int64_t>(kPairs, count - first);
        for (int64_t p = 0; p < block; ++p) {
          std::copy_n(x + pairs.input[first + p] * in, in, xs.data() + p * in);
          std::copy_n(g + pairs.output[first + p] * out_channels, out_channels, gs.data() + p * padded);
        }
        for (int64_t o = 0; o < padded; o += width)
          for (int64_t i = 0; i < in; i += kRows) {
            const int group = static_cast<int>(std::min<int64_t>(kRows, in - i));
            const T* source[kRows];
            T* target[kRows];
            for (int m = 0; m < group; ++m) {
              source[m] = xs.data() + i + m;
              target[m] = sum.data() + (i + m) * padded + o;
            }
            multiply_add_rows(group, source, in, gs.data() + o, padded, block, target);
          }
      }
      for (int64_t i = 0; i < in; ++i)
        std::copy_n(sum.data() + i * padded, out_channels, grad + (k * in + i) * out_channels);
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
