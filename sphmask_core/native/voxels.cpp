// SPDX-License-Identifier: Apache-2.0
// From points to voxels and back: points in another frame, keys of voxels, means and bounds of the points of each segment.

// A fused multiply-add rounds differently from the plain operations of the reference.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "keys.h"

extern "C" {

// out[i] = rotation (points[i] - origin); points and out (n, 3), rotation (3, 3).
void sphmask_turn(const float* points, int64_t n, const float* rotation, const float* origin, float* out,
                  int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    const float* p = points + 3 * i;
    const float x = p[0] - origin[0], y = p[1] - origin[1], z = p[2] - origin[2];
    for (int axis = 0; axis < 3; ++axis)
      out[3 * i + axis] = rotation[3 * axis] * x + rotation[3 * axis + 1] * y + rotation[3 * axis + 2] * z;
  }
}

// keys[i] = packed voxel of point i of xyz (n, 3), edges of 1 / scale, from the lowest coordinate. Returns the
// longest extent in voxels; where it is more than `most`, there are no keys.
float sphmask_voxel_keys(const float* xyz, int64_t n, float scale, int64_t scene, float most, int64_t* keys,
                         int64_t threads) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  float low[3] = {infinity, infinity, infinity}, high[3] = {-infinity, -infinity, -infinity};
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) reduction(min : low) reduction(max : high)
  for (int64_t i = 0; i < n; ++i)
    for (int axis = 0; axis < 3; ++axis) {
      const float v = xyz[3 * i + axis] * scale;
      low[axis] = std::min(low[axis], v), high[axis] = std::max(high[axis], v);
    }
  const float extent = std::max({high[0] - low[0], high[1] - low[1], high[2] - low[2]});
  if (!(extent <= most)) return extent;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    int64_t cell[3];
    for (int axis = 0; axis < 3; ++axis) cell[axis] = static_cast<int64_t>(xyz[3 * i + axis] * scale - low[axis]);
    keys[i] = pack(scene, cell[0], cell[1], cell[2]);
  }
  return extent;
}

// mean[s] = mean of the rows of values (n, channels) whose segment is s, 0 where there are none; both of `count` rows.
void sphmask_segment_mean(const float* values, const int64_t* segments, int64_t n, int64_t channels, float* mean,
                          int64_t* sizes, int64_t count) {
  std::fill_n(mean, count * channels, 0.0f);
  std::fill_n(sizes, count, 0);
  for (int64_t i = 0; i < n; ++i) {
    float* sum = mean + segments[i] * channels;
    for (int64_t c = 0; c < channels; ++c) sum[c] += values[i * channels + c];
    ++sizes[segments[i]];
  }
  for (int64_t s = 0; s < count; ++s)
    for (int64_t c = 0; c < channels; ++c) mean[s * channels + c] /= static_cast<float>(std::max<int64_t>(sizes[s], 1));
}

// bounds[s] = lowest and highest coordinates of the points (n, 3) whose segment is s, (count, 6).
void sphmask_segment_bounds(const float* xyz, const int64_t* segments, int64_t n, float* bounds, int64_t count) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (int64_t s = 0; s < count; ++s) {
    std::fill_n(bounds + 6 * s, 3, infinity);
    std::fill_n(bounds + 6 * s + 3, 3, -infinity);
  }
  for (int64_t i = 0; i < n; ++i) {
    float* box = bounds + 6 * segments[i];
    for (int axis = 0; axis < 3; ++axis) {
      box[axis] = std::min(box[axis], xyz[3 * i + axis]);
      box[3 + axis] = std::max(box[3 + axis], xyz[3 * i + axis]);
    }
  }
}

}  // extern "C"
