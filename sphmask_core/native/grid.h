// SPDX-License-Identifier: Apache-2.0
// One cloud's voxels sorted by coordinate.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "normals.h"
#include "sort.h"
#include "watch.h"

namespace {

constexpr int kReach = 2;  // neighbors are sought in (2 kReach + 1)^3 voxels
constexpr int kSide = 2 * kReach + 1;
constexpr int kAtOnce = 8;  // voxels of a column that are read at once, whether it has so many or not
static_assert(kAtOnce >= kSteps && kAtOnce >= kSide, "keys are read as far as this beyond the last");

// By how many threads a call is computed, and what may call it off.
struct Run {
  int threads;
  Watch watch;
};

struct Grid {
  std::vector<int64_t> keys;   // sorted, packed x, y, z; after them kAtOnce that are higher than all
  std::vector<int32_t> order;  // input index of each sorted voxel
  std::vector<Vec> points;
  std::vector<float> x, y, z;  // the points once more, each as long as `keys`
  std::vector<Vec> colors;     // none where they have no weight
  int64_t stride_x, stride_y;  // key of a step along x and y

  int64_t count() const { return static_cast<int64_t>(points.size()); }
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
  grid.keys.resize(count + kAtOnce, std::numeric_limits<int64_t>::max());
  std::copy(keys.begin(), keys.end(), grid.keys.begin());
  grid.points = in_order(xyz, grid.order);
  for (auto* axis : {&grid.x, &grid.y, &grid.z}) axis->resize(count + kAtOnce);
  for (int64_t i = 0; i < count; ++i) {
    const Vec p = grid.points[i];
    grid.x[i] = p.x, grid.y[i] = p.y, grid.z[i] = p.z;
  }
  if (rgb) grid.colors = in_order(rgb, grid.order);
  return grid;
}

}  // namespace
