// SPDX-License-Identifier: Apache-2.0
// One cloud's voxels sorted by coordinate, and the nearest neighbors of each.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

#include "normals.h"
#include "sort.h"
#include "vectors.h"
#include "watch.h"

namespace {

constexpr int kReach = 2;  // neighbors are sought in (2 kReach + 1)^3 voxels
constexpr int kSide = 2 * kReach + 1;
constexpr int kNearest = 20;  // voxels of a normal, beside the voxel itself

struct Neighbors {
  std::array<int32_t, kNearest> index;  // nearest first
  int32_t count;
};

// By how many threads a call is computed, and what may call it off.
struct Run {
  int threads;
  Watch watch;
};

struct Grid {
  std::vector<int64_t> keys;   // sorted, packed x, y, z
  std::vector<int32_t> order;  // input index of each sorted voxel
  std::vector<Vec> points;
  std::vector<Vec> colors;     // none where they have no weight
  int64_t stride_x, stride_y;  // key of a step along x and y
};

std::vector<Vec> in_order(const float* values, const std::vector<int32_t>& order) {
  std::vector<Vec> sorted(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const float* v = values + 3 * static_cast<int64_t>(order[i]);
    sorted[i] = {v[0], v[1], v[2]};
  }
  return sorted;
}

// Lowest and highest coordinate on each axis.
struct Extents {
  int64_t low[3], high[3];

  Extents(const int32_t* coords, int64_t count) {
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = high[axis] = coords[axis];
      for (int64_t i = 1; i < count; ++i) {
        low[axis] = std::min<int64_t>(low[axis], coords[3 * i + axis]);
        high[axis] = std::max<int64_t>(high[axis], coords[3 * i + axis]);
      }
    }
  }
  int64_t steps(int axis) const { return high[axis] - low[axis]; }
  int64_t longest() const { return std::max({steps(0), steps(1), steps(2)}); }
};

Grid make_grid(const int32_t* coords, const Extents& extents, const float* xyz, const float* rgb,
               int64_t count) {
  Grid grid;
  grid.stride_y = extents.steps(2) + 1 + kSide;  // a margin, so that windows never wrap
  grid.stride_x = grid.stride_y * (extents.steps(1) + 1 + kSide);
  const int64_t* const low = extents.low;
  std::vector<uint64_t> keys(count);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t* c = coords + 3 * i;
    keys[i] = (c[0] - low[0]) * grid.stride_x + (c[1] - low[1]) * grid.stride_y + (c[2] - low[2]);
  }
  grid.order.resize(count);
  std::iota(grid.order.begin(), grid.order.end(), 0);
  radix_sort(keys, grid.order);
  grid.keys.assign(keys.begin(), keys.end());
  grid.points = in_order(xyz, grid.order);
  if (rgb) grid.colors = in_order(rgb, grid.order);
  return grid;
}

// The voxels of one voxel's window, by ascending index.
class Window {
public:
  void clear() { count_ = 0; }
  void add(int32_t n, float d) { index_[count_] = n, distance_[count_++] = d; }

  // A voxel's place is the number of nearer ones, of equally near ones of lower index: no branch, no swap.
  // A block of voxels is compared with each voxel in turn.
  Neighbors nearest() {
    Neighbors neighbors;
    neighbors.count = std::min(count_, kNearest);
    for (int32_t first = 0; first < count_; first += kBlock) place_block(first);
    for (int32_t i = 0; i < count_; ++i) sorted_[place_[i]] = index_[i];
    std::copy_n(sorted_, kNearest, neighbors.index.begin());
    return neighbors;
  }

private:
  static constexpr int32_t kLanes = kVectorBytes / 4, kBlock = 32, kVectors = kBlock / kLanes;
  static constexpr int32_t kMost = (kSide * kSide * kSide + kBlock - 1) / kBlock * kBlock;
  typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));
  typedef uint32_t Bits __attribute__((vector_size(kVectorBytes)));

  // Writes the places of a block; of what is beyond the last voxel nothing is used. Numbers that are not
  // negative are in the order of their bits, and the sign bit of a difference is 1 where the first is less.
  void place_block(int32_t first) {
    Ints own[kVectors], later[kVectors];
    Bits place[kVectors] = {};
    for (int v = 0; v < kVectors; ++v) {
      std::memcpy(&own[v], distance_ + first + v * kLanes, kVectorBytes);
      later[v] = -first - v * kLanes - lane_;  // below 0 once j is added: j comes first
    }
    for (int32_t j = 0; j < count_; ++j) {
      int32_t other;
      std::memcpy(&other, distance_ + j, sizeof other);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) place[v] += Bits((other - own[v]) + ((later[v] + j) >> 31)) >> 31;
    }
    std::memcpy(place_ + first, place, sizeof place);
  }

  static Ints lanes() {
    Ints numbers{};
    for (int32_t lane = 0; lane < kLanes; ++lane) numbers[lane] = lane;
    return numbers;
  }

  const Ints lane_ = lanes();
  float distance_[kMost] = {};
  uint32_t place_[kMost];
  int32_t index_[kMost], sorted_[kMost] = {};
  int32_t count_ = 0;
};

// Sorted keys make every column of a voxel's window one contiguous run; its start only moves forward.
std::vector<Neighbors> find_neighbors(const Grid& grid, const Run& run) {
  const int64_t count = static_cast<int64_t>(grid.keys.size());
  std::vector<Neighbors> all(count);
#pragma omp parallel num_threads(run.threads)
  {
    std::array<int64_t, kSide * kSide> start;
    start.fill(-1);
    Window window;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      if (run.watch.off()) continue;
      window.clear();
      for (int column = 0; column < kSide * kSide; ++column) {
        const int64_t middle = grid.keys[i] + (column / kSide - kReach) * grid.stride_x +
                               (column % kSide - kReach) * grid.stride_y;
        int64_t& j = start[column];
        if (j < 0)
          j = std::lower_bound(grid.keys.begin(), grid.keys.end(), middle - kReach) - grid.keys.begin();
        while (j < count && grid.keys[j] < middle - kReach) ++j;
        for (int64_t n = j; n < count && grid.keys[n] <= middle + kReach; ++n) {
          const Vec d = grid.points[n] - grid.points[i];
          if (n != i) window.add(static_cast<int32_t>(n), dot(d, d));
        }
      }
      all[i] = window.nearest();
    }
  }
  run.watch.check();
  return all;
}

}  // namespace
