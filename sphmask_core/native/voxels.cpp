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
#include <cstring>
#include <limits>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "keys.h"
#include "team.h"

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr const char* kNoSegment = "segments has a number that is not one of the segments";
constexpr const char* kNoRow = "rows or segments has a number that is not one of the points or the segments";

bool is_one_of(int64_t number, int64_t count) {
  return static_cast<uint64_t>(number) < static_cast<uint64_t>(count);
}

struct Box {
  float low[3] = {kInfinity, kInfinity, kInfinity}, high[3] = {-kInfinity, -kInfinity, -kInfinity};

  void add(const float* p) {
    for (int axis = 0; axis < 3; ++axis)
      low[axis] = std::min(low[axis], p[axis]), high[axis] = std::max(high[axis], p[axis]);
  }
  void add(const Box& other) {
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = std::min(low[axis], other.low[axis]);
      high[axis] = std::max(high[axis], other.high[axis]);
    }
  }
};

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

const char* sphmask_keep_points(const float* xyz, const uint8_t* left_out, int64_t* rows, float* points,
                                int64_t* count, int64_t n) {
  constexpr uint64_t all_left_out =
      0x0101010101010101;  // eight points, as they often lie on a surface together
  int64_t kept = 0;
  for (int64_t i = 0; i < n; ++i) {
    uint64_t eight = 0;
    if (left_out != nullptr && i + 8 <= n) std::memcpy(&eight, left_out + i, 8);
    if (eight == all_left_out) {
      i += 7;
      continue;
    }
    const float x = xyz[3 * i], y = xyz[3 * i + 1], z = xyz[3 * i + 2], sum = (x - x) + (y - y) + (z - z);
    float* const to = points + 3 * kept;
    rows[kept] = i, to[0] = x, to[1] = y, to[2] = z;
    // What is not finite has no difference of zero with itself.
    kept += (sum == 0) & (left_out == nullptr || !left_out[i]);
  }
  *count = kept;
  return kFine;
}

const char* sphmask_mean_point(const float* xyz, double* mean, int64_t n) {
  constexpr int64_t together = 4;  // points: as many sums, which do not wait for each other
  double sums[3 * together] = {};
  int64_t i = 0;
  for (; i + together <= n; i += together)
    for (int64_t k = 0; k < 3 * together; ++k) sums[k] += xyz[3 * i + k];
  for (int64_t k = 0; k < 3 * (n - i); ++k) sums[k] += xyz[3 * i + k];
  for (int64_t axis = 0; axis < 3; ++axis) {
    mean[axis] = 0;
    for (int64_t k = axis; k < 3 * together; k += 3) mean[axis] += sums[k];
    mean[axis] /= static_cast<double>(std::max<int64_t>(n, 1));
  }
  return kFine;
}

const char* sphmask_pick_colors(const uint8_t* rgb, const int64_t* rows, float* colors, float middle,
                                int64_t n, int64_t picked, int64_t threads) {
  int64_t strange = 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) reduction(+ : strange)
  for (int64_t i = 0; i < picked; ++i) {
    if (!is_one_of(rows[i], n)) {
      ++strange;
      continue;
    }
    for (int channel = 0; channel < 3; ++channel)
      colors[3 * i + channel] = static_cast<float>(rgb[3 * rows[i] + channel]) / middle - 1;
  }
  return strange == 0 ? kFine : "rows has a number that is not one of the points";
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

const char* sphmask_segment_bounds(const float* xyz, const int64_t* rows, const int64_t* segments,
                                   float* bounds, int64_t n, int64_t picked, int64_t count, int64_t threads) {
  return guarded([&] {
    const std::vector<Box> none(count);
    Team<std::vector<Box>> team(threads, [&] { return none; });
    int64_t strange = 0;
#pragma omp parallel num_threads(static_cast<int>(threads)) reduction(+ : strange)
    {
      std::vector<Box>& own = team.mine();
#pragma omp for schedule(static)
      for (int64_t i = 0; i < picked; ++i) {
        if (is_one_of(segments[i], count) && is_one_of(rows[i], n))
          own[segments[i]].add(xyz + 3 * rows[i]);
        else
          ++strange;
      }
    }
    if (strange > 0) return kNoRow;
    for (int64_t s = 0; s < count; ++s) {
      Box all;
      for (const auto& boxes : team.members()) all.add(boxes[s]);
      std::copy_n(all.low, 3, bounds + 6 * s), std::copy_n(all.high, 3, bounds + 6 * s + 3);
    }
    return kFine;
  });
}

const char* sphmask_spread_segments(const int64_t* rows, const int64_t* segments, const int32_t* labels_of,
                                    int64_t* all, int32_t* labels, int64_t picked, int64_t count, int64_t n,
                                    int64_t threads) {
  int64_t strange = 0;
#pragma omp parallel num_threads(static_cast<int>(threads)) reduction(+ : strange)
  {
#pragma omp for schedule(static)
    for (int64_t i = 0; i < n; ++i) all[i] = count, labels[i] = 0;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < picked; ++i) {
      if (is_one_of(segments[i], count) && is_one_of(rows[i], n))
        all[rows[i]] = segments[i], labels[rows[i]] = labels_of[segments[i]];
      else
        ++strange;
    }
  }
  return strange == 0 ? kFine : kNoRow;
}
