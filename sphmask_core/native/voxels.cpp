// SPDX-License-Identifier: Apache-2.0
// From points to voxels and back: points in another frame, keys of voxels, means and bounds of the points of
// each segment.

// A fused multiply-add rounds differently from the plain operations of the reference.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <algorithm>
#include <cstdint>
#include <limits>

#include "guard.h"
#include "kernels.h"
#include "keys.h"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr const char* kNoSegment = "segments has a number that is not one of the segments";

bool is_one_of(int64_t number, int64_t count) {
  return static_cast<uint64_t>(number) < static_cast<uint64_t>(count);
}

}  // namespace

const char* sphmask_turn(const float* points, const float* rotation, const float* origin, float* turned,
                         int64_t n, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    const float* p = points + 3 * i;
    const float x = p[0] - origin[0], y = p[1] - origin[1], z = p[2] - origin[2];
    for (int axis = 0; axis < 3; ++axis)
      turned[3 * i + axis] = rotation[3 * axis] * x + rotation[3 * axis + 1] * y + rotation[3 * axis + 2] * z;
  }
  return kFine;
}

const char* sphmask_voxel_keys(const float* xyz, int64_t* keys, float scale, int64_t scene, float most,
                               float* extent, int64_t n, int64_t threads) {
  float low[3] = {kInfinity, kInfinity, kInfinity}, high[3] = {-kInfinity, -kInfinity, -kInfinity};
  int64_t strange = 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) reduction(min : low) \
    reduction(max : high) reduction(+ : strange)
  for (int64_t i = 0; i < n; ++i)
    for (int axis = 0; axis < 3; ++axis) {
      const float v = xyz[3 * i + axis] * scale;
      low[axis] = std::min(low[axis], v), high[axis] = std::max(high[axis], v);
      strange += !(v - v == 0);
    }
  *extent = std::max({high[0] - low[0], high[1] - low[1], high[2] - low[2]});
  if (strange > 0) *extent = std::numeric_limits<float>::quiet_NaN();
  if (!(*extent <= most)) return kFine;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    int64_t cell[3];
    for (int axis = 0; axis < 3; ++axis)
      cell[axis] = static_cast<int64_t>(xyz[3 * i + axis] * scale - low[axis]);
    keys[i] = pack(scene, cell[0], cell[1], cell[2]);
  }
  return kFine;
}

const char* sphmask_segment_mean(const float* values, const int64_t* segments, float* mean, int64_t* sizes,
                                 int64_t n, int64_t channels, int64_t count) {
  std::fill_n(mean, count * channels, 0.0f);
  std::fill_n(sizes, count, 0);
  for (int64_t i = 0; i < n; ++i) {
    if (!is_one_of(segments[i], count)) return kNoSegment;
    float* sum = mean + segments[i] * channels;
    for (int64_t c = 0; c < channels; ++c) sum[c] += values[i * channels + c];
    ++sizes[segments[i]];
  }
  for (int64_t s = 0; s < count; ++s)
    for (int64_t c = 0; c < channels; ++c)
      mean[s * channels + c] /= static_cast<float>(std::max<int64_t>(sizes[s], 1));
  return kFine;
}

const char* sphmask_segment_bounds(const float* xyz, const int64_t* segments, float* bounds, int64_t n,
                                   int64_t count) {
  for (int64_t s = 0; s < count; ++s) {
    std::fill_n(bounds + 6 * s, 3, kInfinity);
    std::fill_n(bounds + 6 * s + 3, 3, -kInfinity);
  }
  for (int64_t i = 0; i < n; ++i) {
    if (!is_one_of(segments[i], count)) return kNoSegment;
    float* box = bounds + 6 * segments[i];
    for (int axis = 0; axis < 3; ++axis) {
      box[axis] = std::min(box[axis], xyz[3 * i + axis]);
      box[3 + axis] = std::max(box[3 + axis], xyz[3 * i + axis]);
    }
  }
  return kFine;
}
