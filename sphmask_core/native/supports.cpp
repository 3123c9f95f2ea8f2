// SPDX-License-Identifier: Apache-2.0
// Points that lie on gently curved surfaces near planes.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cells.h"
#include "guard.h"
#include "kernels.h"
#include "team.h"

namespace {

constexpr int kBlock = 64;            // points that are looked at together
constexpr int kTerms = 10;            // of a cubic in two variables
constexpr int kCovered = kCells + 4;  // with one more at either end that may be covered, and a free one
constexpr int kArea = kCovered * kCovered;
constexpr int32_t kNowhere = 65535;
constexpr float kGapSteps = 1e5f;      // gaps are counted in 0.01 mm, so that sums do not depend on order
constexpr float kMostGap = 0.3f;       // meters
constexpr int kFewestPoints = 5;       // of a cell whose mean gap tells anything
constexpr float kDeviation = 1.4826f;  // of a normal distribution, over its median absolute deviation

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

struct Block {
  float x[kBlock], y[kBlock], z[kBlock];
  int32_t place[kBlock];    // cell, of all surfaces' one after the other; kNowhere on none
  int32_t gap[kBlock];      // steps above the surface
  int32_t counted[kBlock];  // cell whose mean the point counts for, 0 for none
};

float dot(const float* axis, float x, float y, float z) { return axis[0] * x + axis[1] * y + axis[2] * z; }
float clamp(float value, float most) { return std::min(std::max(value, -most), most); }

// Places the points of a block that are on a surface and on none before. covered (kArea): 0, or -1 for a cell
// that the surface covers; first: the surface's first cell.
void measure(const Surface& s, const int32_t* covered, int32_t first, Block& b) {
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
    const bool on = (gap <= above) & (gap >= -std::max(s.below, above)) & (column >= 0) & (row >= 0) &
                    (column < kCovered) & (row < kCovered);
    const int32_t at[2] = {static_cast<int32_t>(on ? column : 0.0f), static_cast<int32_t>(on ? row : 0.0f)};
    const int32_t cell = at[0] * kCovered + at[1];
    const int32_t take = covered[cell] & -static_cast<int32_t>(b.place[i] == kNowhere);  // all bits or none
    b.place[i] = (take & (first + cell)) | (~take & b.place[i]);
    b.gap[i] =
        (take & static_cast<int32_t>((on ? clamp(gap, kMostGap) : 0.0f) * kGapSteps)) | (~take & b.gap[i]);
    b.counted[i] |= take & -static_cast<int32_t>(gap >= -above) & (first + cell);
  }
}

// Sums of the gaps of the points of each cell.
struct Means {
  std::vector<int64_t> sums, counts;
  explicit Means(int64_t surfaces) : sums(surfaces * kArea), counts(surfaces * kArea) {}

  void add(const Means& other) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i], counts[i] += other.counts[i];
  }
  bool tells(int64_t cell) const { return cell % kArea != 0 && counts[cell] >= kFewestPoints; }
  float gap(int64_t cell) const {
    return static_cast<float>(sums[cell]) / (kGapSteps * static_cast<float>(counts[cell]));
  }
};

float median(std::vector<float>& values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

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
  for (int i = 0; i < kBlock; ++i) {
    const float* p = xyz + 3 * std::min(i, size - 1);
    block.x[i] = p[0], block.y[i] = p[1], block.z[i] = p[2];
    block.place[i] = kNowhere, block.gap[i] = block.counted[i] = 0;
  }
  return block;
}

// Cell (of all surfaces' one after the other) and gap of each point on a surface, the first of several.
void place(const float* xyz, int64_t n, const std::vector<Surface>& surfaces,
           const std::vector<int32_t>& covered, uint16_t* places, int16_t* gaps, Means& means, int threads) {
  const int64_t count = static_cast<int64_t>(surfaces.size());
  Team<Means> team(threads, [&] { return Means(count); });
#pragma omp parallel num_threads(threads)
  {
    Means& own = team.mine();
#pragma omp for schedule(static)
    for (int64_t start = 0; start < n; start += kBlock) {
      const int size = static_cast<int>(std::min<int64_t>(kBlock, n - start));
      Block block = load(xyz + 3 * start, size);
      for (int64_t k = 0; k < count; ++k)
        measure(surfaces[k], covered.data() + k * kArea, static_cast<int32_t>(k * kArea), block);
      for (int i = 0; i < size; ++i) places[start + i] = static_cast<uint16_t>(block.place[i]);
      for (int i = 0; i < size; ++i) gaps[start + i] = static_cast<int16_t>(block.gap[i]);
      for (int i = 0; i < size; ++i)
        own.sums[block.counted[i]] += block.gap[i], ++own.counts[block.counted[i]];
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
    std::memcpy(surfaces.data(), values, count * sizeof(Surface));
    std::vector<int32_t> cells(count * kArea);
    for (int64_t cell = 0; cell < count * kArea; ++cell)
      cells[cell] = -static_cast<int32_t>(covered[cell] != 0);
    std::vector<uint16_t> places(n);
    std::vector<int16_t> gaps(n);
    Means means(count);
    place(xyz, n, surfaces, cells, places.data(), gaps.data(), means, static_cast<int>(threads));
    const std::vector<int16_t> most = limits(surfaces, means);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
    for (int64_t i = 0; i < n; ++i) marks[i] = places[i] != kNowhere && gaps[i] <= most[places[i]];
    return kFine;
  });
}
