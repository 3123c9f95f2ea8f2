// SPDX-License-Identifier: Apache-2.0
// Points that lie on gently curved surfaces near planes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "cells.h"
#include "guard.h"
#include "kernels.h"
#include "robust.h"
#include "team.h"

namespace {

constexpr int kBlock = 64;            // points that are looked at together
constexpr int kCovered = kCells + 4;  // with one more at either end that may be covered, and a free one
constexpr int kArea = kCovered * kCovered;
constexpr uint16_t kNowhere = 65535;
constexpr float kGapSteps = 1e5f;  // gaps are counted in 0.01 mm, so that sums do not depend on order
constexpr float kMostGap = 0.3f;   // meters
constexpr int kFewestPoints = 5;   // of a cell whose mean gap tells anything

// As sphmask_core/method/supports.py fills it, in floats.
struct Surface {
  float normal[3], offset;          // height over the plane
  float u[3], v[3];                 // axes in the plane
  float middle[2], scale[2];        // (foot - middle) scale is from -1 to 1 in its extent
  float cubic[kTerms];              // height of the surface over the plane
  float noise;                      // a point's height is uncertain by this, times its distance squared
  float above, above_most, below;   // meters: the least and the most that is left out above, and below
  float raised, raised_deviations;  // a cell whose points are so much too high on average holds a flat
                                    // thing: meters, and deviations of all cells' means
  float low[2], finer;              // corner of the cells of its extent, and one over their edge
};

// Points that are looked at together, as columns.
struct Block {
  float x[kBlock], y[kBlock], z[kBlock];
};

// Where the points of a block are over one surface.
struct Feet {
  int32_t
      cell[kBlock];     // of the surface's cells; the first one, which is never covered, where it is not near
  int32_t gap[kBlock];  // steps above the surface
  int32_t counted[kBlock];  // 1 where it is no further below than above: its gap tells how high the cell is
};

float dot(const float* axis, float x, float y, float z) { return axis[0] * x + axis[1] * y + axis[2] * z; }
// Also where the value is not a number.
float clamp(float value, float most) { return std::min(std::max(-most, value), most); }
int32_t place(float line) { return static_cast<int32_t>(std::min(std::max(0.0f, line), kCovered - 1.0f)); }

// Without a branch and without a look into memory, so that the compiler vectorizes it for any processor.
[[gnu::noinline]] void measure(const Surface& surface, const Block& b, Feet& feet) {
  const Surface s = surface;
#pragma omp simd
  for (int i = 0; i < kBlock; ++i) {
    const float x = b.x[i], y = b.y[i], z = b.z[i];
    const float u = dot(s.u, x, y, z), v = dot(s.v, x, y, z);
    const float p = clamp((u - s.middle[0]) * s.scale[0], 1), q = clamp((v - s.middle[1]) * s.scale[1], 1);
    const float* c = s.cubic;
    const float along = c[0] + p * (c[1] + p * (c[3] + p * c[6]));
    const float across = c[2] + p * (c[4] + p * c[7]) + q * (c[5] + p * c[8] + q * c[9]);
    const float gap = dot(s.normal, x, y, z) + s.offset - (along + q * across);
    const float above = std::min(std::max(s.noise * (x * x + y * y + z * z), s.above), s.above_most);
    const float column = (u - s.low[0]) * s.finer, row = (v - s.low[1]) * s.finer;
    const int32_t on = (gap <= above) & (gap >= -std::max(s.below, above)) & (column >= 0) & (row >= 0) &
                       (column < kCovered) & (row < kCovered);
    feet.cell[i] = on * (place(column) * kCovered + place(row));
    feet.gap[i] = on * static_cast<int32_t>(clamp(gap, kMostGap) * kGapSteps);
    feet.counted[i] = gap >= -above;
  }
}

// The gaps of the points of each cell. Two arrays, since neighbors are mostly of one cell: sums side by side
// would be added as a vector, whose way through memory and back is twice as long.
struct Means {
  std::vector<int64_t> gaps, counts;
  explicit Means(int64_t surfaces) : gaps(surfaces * kArea), counts(surfaces * kArea) {}

  void add(const Means& other) {
    for (size_t i = 0; i < gaps.size(); ++i) gaps[i] += other.gaps[i], counts[i] += other.counts[i];
  }
  bool tells(int64_t cell) const { return counts[cell] >= kFewestPoints; }
  float gap(int64_t cell) const {
    return static_cast<float>(gaps[cell]) / (kGapSteps * static_cast<float>(counts[cell]));
  }
};

// How high the mean of a cell of a surface must be, meters, for something flat to lie there.
float raised_from(const Surface& s, const Means& means, int64_t first) {
  std::vector<float> gaps;
  for (int64_t cell = first; cell < first + kArea; ++cell)
    if (means.tells(cell)) gaps.push_back(means.gap(cell));
  if (gaps.empty()) return s.raised;
  const float middle = median(gaps);
  for (float& gap : gaps) gap = std::abs(gap - middle);
  return std::max(s.raised, s.raised_deviations * kDeviation * median(gaps));
}

// For each cell, steps of gap above which its points are not on the surface after all.
std::vector<int16_t> limits(const std::vector<Surface>& surfaces, const Means& means) {
  const int64_t count = static_cast<int64_t>(surfaces.size());
  std::vector<int16_t> steps(count * kArea, INT16_MAX);
  for (int64_t k = 0; k < count; ++k) {
    const float from = raised_from(surfaces[k], means, k * kArea);
    for (int64_t cell = k * kArea; cell < (k + 1) * kArea; ++cell)
      if (means.tells(cell) && means.gap(cell) > from)
        steps[cell] = static_cast<int16_t>(std::min(from / 2, kMostGap) * kGapSteps);
  }
  return steps;
}

Block load(const float* xyz, int size) {
  Block block;
  if (size == kBlock) {
    for (int i = 0; i < kBlock; ++i)
      block.x[i] = xyz[3 * i], block.y[i] = xyz[3 * i + 1], block.z[i] = xyz[3 * i + 2];
    return block;
  }
  for (int i = 0; i < kBlock; ++i) {
    const float* p = xyz + 3 * std::min(i, size - 1);
    block.x[i] = p[0], block.y[i] = p[1], block.z[i] = p[2];
  }
  return block;
}

// Cell (of all surfaces' one after the other, kNowhere on none) and gap of each point, on the first surface
// of several that it is on.
void place(const float* xyz, int64_t n, const std::vector<Surface>& surfaces, const uint8_t* covered,
           uint16_t* places, int16_t* gaps, Means& means, int threads) {
  const int64_t count = static_cast<int64_t>(surfaces.size());
  Team<Means> team(threads, [&] { return Means(count); });
#pragma omp parallel num_threads(threads)
  {
    Means& own = team.mine();
#pragma omp for schedule(static)
    for (int64_t start = 0; start < n; start += kBlock) {
      const int size = static_cast<int>(std::min<int64_t>(kBlock, n - start));
      const Block block = load(xyz + 3 * start, size);
      Feet feet;
      std::fill_n(places + start, size, kNowhere);
      for (int64_t k = 0; k < count; ++k) {
        measure(surfaces[k], block, feet);
        for (int i = 0; i < size; ++i) {
          const int64_t cell = k * kArea + feet.cell[i];
          if (!covered[cell] || feet.cell[i] == 0 || places[start + i] != kNowhere) continue;
          places[start + i] = static_cast<uint16_t>(cell),
                         gaps[start + i] = static_cast<int16_t>(feet.gap[i]);
          own.gaps[cell] += feet.counted[i] * feet.gap[i], own.counts[cell] += feet.counted[i];
        }
      }
    }
#pragma omp critical
    means.add(own);
  }
}

static_assert(sizeof(Surface) == 33 * sizeof(float), "kernels.py says how many floats a surface has");

}  // namespace

const char* sphmask_on_surfaces(const float* xyz, const float* values, const uint8_t* covered, uint8_t* marks,
                                int64_t threads, int64_t n, int64_t count) {
  if (count * kArea >= kNowhere) return "there are more than 24 surfaces";
  return guarded([&] {
    std::vector<Surface> surfaces(count);
    if (count > 0) std::memcpy(surfaces.data(), values, count * sizeof(Surface));
    const std::unique_ptr<uint16_t[]> places(new uint16_t[n]);
    const std::unique_ptr<int16_t[]> gaps(new int16_t[n]);
    Means means(count);
    place(xyz, n, surfaces, covered, places.get(), gaps.get(), means, static_cast<int>(threads));
    const std::vector<int16_t> most = limits(surfaces, means);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
    for (int64_t i = 0; i < n; ++i) marks[i] = places[i] != kNowhere && gaps[i] <= most[places[i]];
    return kFine;
  });
}
