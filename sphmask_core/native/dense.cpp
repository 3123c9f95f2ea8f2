// SPDX-License-Identifier: Apache-2.0
// Dense layers of all heads, and the local aggregators' pooling over neighbors.
#include "dense.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "team.h"

namespace {

constexpr int64_t kHeadRows = 48;  // of a head: two threads share a few hundred queries evenly

// Points with the sizes of their boxes and their features.
struct Neighborhood {
  const float *xyz, *sizes, *features;  // (n, 3), (n, 3), (n, channels)
  int64_t n, channels;
  float radius;

  // One row of inputs: [(p - q) / r, |b_p - b_q|, f] of point p about center q.
  void input(int64_t p, const float* center, const float* center_size, float* z) const {
    for (int axis = 0; axis < 3; ++axis) {
      z[axis] = (xyz[3 * p + axis] - center[axis]) / radius;
      z[3 + axis] = std::abs(sizes[3 * p + axis] - center_size[axis]);
    }
    std::copy_n(features + p * channels, channels, z + 6);
  }
};

// What one thread needs to pool about a few centers at once.
class Pooling {
public:
  Pooling(const DenseStack& stack, int64_t rows, int64_t inputs)
      : stack_(&stack), inputs_(inputs), z_(rows * inputs), pass_(stack, rows) {}

  // pooled (last - first, out) of centers [first, last). A neighbor that repeats the first changes no
  // maximum.
  void run(const Neighborhood& around, const int64_t* neighbors, int64_t k, const float* centers,
           const float* center_sizes, int64_t first, int64_t last, float* pooled) {
    int64_t rows = 0;
    ends_.clear();
    for (int64_t q = first; q < last; ++q) {
      const int64_t* near = neighbors + q * k;
      for (int64_t j = 0; j < k; ++j)
        if (j == 0 || near[j] != near[0])
          around.input(near[j], centers + 3 * q, center_sizes + 3 * q, z_.data() + rows++ * inputs_);
      ends_.push_back(rows);
    }
    const DenseLayer& layer = stack_->layers().back();
    const float* y = pass_.run(z_.data(), inputs_, rows);
    int64_t row = 0;
    for (const int64_t end : ends_) {
      std::copy_n(y + row * layer.columns, layer.out, pooled);
      for (++row; row < end; ++row)
        for (int64_t c = 0; c < layer.out; ++c) pooled[c] = std::max(pooled[c], y[row * layer.columns + c]);
      pooled += layer.out;
    }
  }

private:
  const DenseStack* stack_;
  int64_t inputs_;
  std::vector<float> z_;
  DensePass pass_;
  std::vector<int64_t> ends_;  // of each center's rows
};

}  // namespace

const char* sphmask_dense(const float* x, const int64_t* widths, const uint8_t* rectified,
                          const float* packed, float* y, int64_t rows, int64_t in, int64_t width_count,
                          int64_t layers, int64_t packed_count, int64_t out, int64_t threads) {
  if (const char* problem = stack_problem(widths, width_count, layers, packed_count, in, out)) return problem;
  return guarded([&] {
    const DenseStack stack(widths, rectified, packed, layers);
    const int64_t columns = stack.layers().back().columns;
    Team<DensePass> passes(threads, [&] { return DensePass(stack, kHeadRows); });
#pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast<int>(threads)) if (rows > kHeadRows)
    for (int64_t first = 0; first < rows; first += kHeadRows) {
      const int64_t count = std::min(kHeadRows, rows - first);
      const float* values = passes.mine().run(x + first * in, in, count);
      for (int64_t r = 0; r < count; ++r) std::copy_n(values + r * columns, out, y + (first + r) * out);
    }
    return kFine;
  });
}

const char* sphmask_pool_neighbors(const float* xyz, const float* sizes, const float* features,
                                   const int64_t* neighbors, const float* centers, const float* center_sizes,
                                   const int64_t* widths, const uint8_t* rectified, const float* packed,
                                   float* pooled, float radius, int64_t n, int64_t channels, int64_t queries,
                                   int64_t k, int64_t width_count, int64_t layers, int64_t packed_count,
                                   int64_t out, int64_t threads) {
  if (const char* problem = stack_problem(widths, width_count, layers, packed_count, channels + 6, out))
    return problem;
  if (k < 1) return "every center must have at least one neighbor";
  for (int64_t i = 0; i < queries * k; ++i)
    if (neighbors[i] < 0 || neighbors[i] >= n) return "a neighbor is a point that there is not";
  return guarded([&] {
    const DenseStack stack(widths, rectified, packed, layers);
    const Neighborhood around{xyz, sizes, features, n, channels, radius};
    const int64_t together = std::max<int64_t>(1, kTileRows / k);
    Team<Pooling> team(threads, [&] { return Pooling(stack, together * k, channels + 6); });
#pragma omp parallel for schedule(dynamic, 4) num_threads(static_cast<int>(threads))
    for (int64_t first = 0; first < queries; first += together)
      team.mine().run(around, neighbors, k, centers, center_sizes, first, std::min(first + together, queries),
                      pooled + first * out);
    return kFine;
  });
}
