// SPDX-License-Identifier: Apache-2.0
// Planes among the points of a sample, largest first, where each is seen, and what stands on it.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "cells.h"
#include "guard.h"
#include "kernels.h"
#include "ransac.h"

namespace {

constexpr float kFinestCell = 0.02f;  // meters
constexpr float kPointsPerCell = 2;   // on average, at least: a plane with few points has larger cells
constexpr int kFewestNeighbors = 3;   // cells of 3 by 3 that are seen where the middle one counts as seen
constexpr float kSurroundings = 3;    // tolerances up to which points are compared with those on the plane
constexpr float kMostHeight = 0.5f;   // meters: what is higher does not stand on the plane
constexpr float kDeepest = 0.2f;      // meters: what is further below is no part of the same heap
constexpr float kNearHeight = 0.15f;  // meters: what is so high counts 1/e of what touches the plane

constexpr float kParallel = 0.985f;   // cosine between the normals of parallel planes, at least
constexpr float kLargeThing = 0.25f;  // meters: shorter side of a plane that is not itself a thing

// Where points were seen on a plane, and what stands on it; as sphmask_core/method/planes.py reads it, in
// floats.
struct Patch {
  float normal[3], offset;  // toward the sensor
  float axes[6];            // in the plane: along the longer side, along the shorter side
  float low[2], cell;       // corner of the cells and their edge
  float share;              // of all points, those on the plane
  float extent[2];          // longer and shorter side of its largest connected part
  float middle[2];          // of its rectangle, along the axes
  float compactness;        // of that rectangle, what is seen
  float center[3];          // mean of the points on the plane
  float gathered;           // of the points around the plane, those on it
  float whole;              // of the points on it and those seen below it through gaps, those on it
  float things;             // share of the points that stand on it, near ones counting more; those
                            // of other large planes parallel to it do not count
};

using Cells = std::array<uint8_t, kCells * kCells>;  // columns, rows

float along(const float* axis, const Columns& p, int64_t i) {
  return axis[0] * p.x[i] + axis[1] * p.y[i] + axis[2] * p.z[i];
}

// Sets the axes: at right angles to the normal, along the first the points spread most.
void set_axes(Patch& patch, const Columns& on) {
  const float* n = patch.normal;
  const int least = std::abs(n[0]) <= std::abs(n[1]) ? (std::abs(n[0]) <= std::abs(n[2]) ? 0 : 2)
                                                     : (std::abs(n[1]) <= std::abs(n[2]) ? 1 : 2);
  float u[3], v[3];
  const float length = std::sqrt(1 - n[least] * n[least]);
  for (int k = 0; k < 3; ++k) u[k] = ((k == least) - n[least] * n[k]) / length;
  for (int k = 0; k < 3; ++k) v[k] = n[(k + 1) % 3] * u[(k + 2) % 3] - n[(k + 2) % 3] * u[(k + 1) % 3];
  const float cu = u[0] * patch.center[0] + u[1] * patch.center[1] + u[2] * patch.center[2];
  const float cv = v[0] * patch.center[0] + v[1] * patch.center[1] + v[2] * patch.center[2];
  double uu = 0, uv = 0, vv = 0;
  for (int64_t i = 0; i < on.size(); ++i) {
    const float a = along(u, on, i) - cu, b = along(v, on, i) - cv;
    uu += a * a, uv += a * b, vv += b * b;
  }
  const double angle = 0.5 * std::atan2(2 * uv, uu - vv);
  const float c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
  for (int k = 0; k < 3; ++k) patch.axes[k] = c * u[k] + s * v[k], patch.axes[3 + k] = c * v[k] - s * u[k];
}

// Sets corner and edge of the cells.
void set_cells(Patch& patch, const Columns& on) {
  float range[2];
  for (int axis = 0; axis < 2; ++axis) {
    float low = along(patch.axes + 3 * axis, on, 0), high = low;
    for (int64_t i = 1; i < on.size(); ++i) {
      const float foot = along(patch.axes + 3 * axis, on, i);
      low = std::min(low, foot), high = std::max(high, foot);
    }
    patch.low[axis] = low, range[axis] = high - low;
  }
  const float sparse = std::sqrt(kPointsPerCell * range[0] * range[1] / static_cast<float>(on.size()));
  patch.cell = std::max({kFinestCell, sparse, std::max(range[0], range[1]) / (kCells - 0.5f)});
}

// The cell of a point's foot on the plane, -1 outside.
int32_t cell_of(const Patch& patch, const Columns& p, int64_t i) {
  const float column = std::floor((along(patch.axes, p, i) - patch.low[0]) / patch.cell);
  const float row = std::floor((along(patch.axes + 3, p, i) - patch.low[1]) / patch.cell);
  if (!(column >= 0 && row >= 0 && column < kCells && row < kCells)) return -1;
  return static_cast<int32_t>(column) * kCells + static_cast<int32_t>(row);
}

// Of 3 by 3 cells around one, those that are set.
int neighbors(const Cells& cells, int column, int row) {
  int count = 0;
  for (int c = std::max(column - 1, 0); c <= std::min(column + 1, kCells - 1); ++c)
    for (int r = std::max(row - 1, 0); r <= std::min(row + 1, kCells - 1); ++r)
      count += cells[c * kCells + r];
  return count;
}

Cells seen_cells(const Patch& patch, const Columns& on) {
  Cells any{}, seen{};
  for (int64_t i = 0; i < on.size(); ++i)
    if (const int32_t cell = cell_of(patch, on, i); cell >= 0) any[cell] = 1;
  for (int c = 0; c < kCells; ++c)
    for (int r = 0; r < kCells; ++r)
      seen[c * kCells + r] = any[c * kCells + r] && neighbors(any, c, r) >= kFewestNeighbors;
  return seen;
}

struct Part {
  int cells = 0, low[2] = {kCells, kCells}, high[2] = {-1, -1};
};

// The cells connected with one, over gaps of a cell; takes them out of `left`.
Part take_part(Cells& left, int start) {
  Part part;
  std::vector<int> open = {start};
  left[start] = 0;
  while (!open.empty()) {
    const int at[2] = {open.back() / kCells, open.back() % kCells};
    open.pop_back();
    ++part.cells;
    for (int axis = 0; axis < 2; ++axis)
      part.low[axis] = std::min(part.low[axis], at[axis]),
      part.high[axis] = std::max(part.high[axis], at[axis]);
    for (int c = std::max(at[0] - 2, 0); c <= std::min(at[0] + 2, kCells - 1); ++c)
      for (int r = std::max(at[1] - 2, 0); r <= std::min(at[1] + 2, kCells - 1); ++r)
        if (left[c * kCells + r]) left[c * kCells + r] = 0, open.push_back(c * kCells + r);
  }
  return part;
}

// Sets the extent, and whether its rectangle is full.
void set_extent(Patch& patch, const Cells& seen) {
  Cells left = seen;
  Part largest;
  for (int cell = 0; cell < kCells * kCells; ++cell)
    if (left[cell])
      if (const Part part = take_part(left, cell); part.cells > largest.cells) largest = part;
  if (largest.cells == 0) return;
  float sides[2];
  for (int axis = 0; axis < 2; ++axis)
    sides[axis] = (largest.high[axis] - largest.low[axis] + 1) * patch.cell;
  patch.compactness = largest.cells * patch.cell * patch.cell / (sides[0] * sides[1]);
  for (int axis = 0; axis < 2; ++axis)
    patch.middle[axis] = patch.low[axis] + 0.5f * (largest.high[axis] + largest.low[axis] + 1) * patch.cell;
  patch.extent[0] = sides[0], patch.extent[1] = sides[1];
}

// Sets all cells of a line (every `step`-th) between two that are set in `seen`.
void fill_line(const Cells& seen, int start, int step, Cells& filled) {
  int first = kCells, last = -1;
  for (int k = 0; k < kCells; ++k)
    if (seen[start + k * step]) first = std::min(first, k), last = k;
  for (int k = first; k <= last; ++k) filled[start + k * step] = 1;
}

// Cells seen, and all between two of them in a row or a column.
Cells fill(const Cells& seen) {
  Cells filled{};
  for (int k = 0; k < kCells; ++k) fill_line(seen, k * kCells, 1, filled), fill_line(seen, k, kCells, filled);
  return filled;
}

bool parallel(const Patch& a, const Patch& b) {
  const float* m = a.normal;
  const float* n = b.normal;
  return m[0] * n[0] + m[1] * n[1] + m[2] * n[2] > kParallel;
}

// Sets what all points tell about plane `own`; owner: of each point, the plane it is on, -1 for none.
void set_surroundings(std::vector<Patch>& patches, int32_t own, const Columns& all,
                      const std::vector<int32_t>& owner, const Cells& seen) {
  Patch& patch = patches[own];
  const Plane plane{patch.normal[0], patch.normal[1], patch.normal[2], patch.offset};
  std::vector<uint8_t> thing(patches.size() + 1, 1);  // the last one: points on no plane
  for (size_t k = 0; k < patches.size(); ++k)
    thing[k] =
        !(parallel(patch, patches[k]) && std::min(patches[k].extent[0], patches[k].extent[1]) > kLargeThing);
  const Cells filled = fill(seen);
  const int64_t n = all.size();
  double things = 0;
  int64_t on = 0, around = 0, below = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float height = plane.distance(all.x[i], all.y[i], all.z[i]), tolerance = all.tolerance[i];
    if (height > std::max(kMostHeight, kSurroundings * tolerance)) continue;
    const int32_t cell = cell_of(patch, all, i);
    if (cell < 0) continue;
    below += height < -tolerance && height > -kDeepest && filled[cell] && !seen[cell];
    if (seen[cell] && std::abs(height) < kSurroundings * tolerance)
      ++around, on += std::abs(height) < tolerance;
    const bool stands = filled[cell] && height > kTaken * tolerance && height < kMostHeight;
    if (stands && thing[owner[i] < 0 ? patches.size() : owner[i]]) things += std::exp(-height / kNearHeight);
  }
  patch.gathered = static_cast<float>(on) / static_cast<float>(std::max<int64_t>(around, 1));
  patch.whole = static_cast<float>(on) / static_cast<float>(std::max<int64_t>(on + below, 1));
  patch.things = static_cast<float>(things / static_cast<double>(n));
}

// The patch of a plane, but for its surroundings; `on`: its points, of `total`.
Patch make_patch(const Plane& plane, const Columns& on, int64_t total, Cells& seen) {
  Patch patch{};
  patch.normal[0] = plane.x, patch.normal[1] = plane.y, patch.normal[2] = plane.z,
  patch.offset = plane.offset;
  patch.share = static_cast<float>(on.size()) / static_cast<float>(total);
  double sum[3] = {0, 0, 0};
  for (int64_t i = 0; i < on.size(); ++i) sum[0] += on.x[i], sum[1] += on.y[i], sum[2] += on.z[i];
  for (int k = 0; k < 3; ++k) patch.center[k] = static_cast<float>(sum[k] / static_cast<double>(on.size()));
  set_axes(patch, on);
  set_cells(patch, on);
  seen = seen_cells(patch, on);
  set_extent(patch, seen);
  return patch;
}

// The largest plane of the points, then the largest of the points that are left, and so on, until `most` or
// until one has fewer than `fewest` points; cells: where points of each were seen.
std::vector<Patch> find_patches(const Columns& all, int64_t most, int64_t fewest, std::vector<Cells>& cells) {
  std::vector<int32_t> owner(all.size(), -1);
  std::vector<Patch> patches;
  Columns points = all;
  Random random;
  while (static_cast<int64_t>(patches.size()) < most && points.size() >= fewest) {
    Plane plane = best_plane(points, random);
    if ((plane.x == 0 && plane.y == 0 && plane.z == 0) || count_inliers(points, plane) < fewest) break;
    if (plane.offset < 0) plane = {-plane.x, -plane.y, -plane.z, -plane.offset};
    Columns on, rest;
    for (int64_t i = 0; i < points.size(); ++i) {
      const float distance = std::abs(plane.distance(points.x[i], points.y[i], points.z[i]));
      if (distance <= points.tolerance[i]) {
        on.add(points, i);
        owner[points.row[i]] = static_cast<int32_t>(patches.size());
      }
      if (distance > kTaken * points.tolerance[i]) rest.add(points, i);
    }
    patches.push_back(make_patch(plane, on, all.size(), cells.emplace_back()));
    points = std::move(rest);
  }
  for (size_t k = 0; k < patches.size(); ++k)
    set_surroundings(patches, static_cast<int32_t>(k), all, owner, cells[k]);
  return patches;
}

static_assert(sizeof(Patch) == 25 * sizeof(float), "kernels.py says how many floats a patch has");

}  // namespace

const char* sphmask_sample(const float* xyz, const double* jitter, float* points, int64_t* count, int64_t n,
                           int64_t most) {
  *count = 0;
  for (int64_t i = 0; i < std::min(n, most); ++i) {
    if (!(jitter[i] >= 0 && jitter[i] < 1)) return "jitter has a number that is not from 0 to less than 1";
    const double place =
        (static_cast<double>(i) + jitter[i]) * static_cast<double>(n) / static_cast<double>(most);
    const float* p = xyz + 3 * (n <= most ? i : std::min(static_cast<int64_t>(place), n - 1));
    if (!(std::abs(p[0]) < kFarthest && std::abs(p[1]) < kFarthest && std::abs(p[2]) < kFarthest)) continue;
    std::copy_n(p, 3, points + 3 * (*count)++);
  }
  return kFine;
}

const char* sphmask_planes(const float* xyz, const float* tolerance, float* patches, uint8_t* seen,
                           int64_t fewest, int64_t* count, int64_t n, int64_t most) {
  *count = 0;
  fewest = std::max<int64_t>(fewest, 3);
  if (n > kMostRows) return kTooMany;
  if (!all_finite(xyz, 3 * n)) return "xyz has a coordinate that is not finite";
  if (n < fewest) return kFine;
  return guarded([&] {
    std::vector<Cells> cells;
    const std::vector<Patch> planes = find_patches(in_morton_order(xyz, tolerance, n), most, fewest, cells);
    *count = static_cast<int64_t>(planes.size());
    for (int64_t k = 0; k < *count; ++k) {
      std::memcpy(patches + k * sizeof(Patch) / sizeof(float), &planes[k], sizeof(Patch));
      std::copy(cells[k].begin(), cells[k].end(), seen + k * kCells * kCells);
    }
    return kFine;
  });
}
