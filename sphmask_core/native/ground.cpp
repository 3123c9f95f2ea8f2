// SPDX-License-Identifier: Apache-2.0
// Floors as planes that are nearly level. Open ground as a map of heights: the lowest point of each cell, how
// heights spread, what lies on them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "guard.h"
#include "kernels.h"

namespace {

constexpr double kOnLine = 1e-9;   // of the product of two variances: less is left of it by rounding
constexpr double kInside = 0.001;  // cells that places stay inside the border: the next cell exists as well

// A square map of cells, its middle at a place of the cloud.
struct Map {
  float x, y, edge;
  int64_t cells;

  // Where a point is, in cells from the map's corner; points beyond the border are on it.
  float place(float value, float middle) const {
    const float half = static_cast<float>(cells) / 2;
    const float most = static_cast<float>(static_cast<double>(cells - 1) - kInside);
    return std::clamp((value - middle) / edge + half, 0.0f, most);
  }

  // What is wrong with the map or with n points (n, 3) that are placed on it; nullptr: nothing.
  const char* refuse(const float* xyz, int64_t n) const {
    if (cells < 2) return "a map has two cells each way at least";
    if (!(edge > 0) || !(edge - edge == 0) || !(x - x == 0) || !(y - y == 0))
      return "x, y and edge are not a place and a length";
    return all_finite(xyz, 3 * n) ? nullptr : "xyz has a coordinate that is not finite";
  }
};

// Height between the middles of four cells, by how far a place is along both axes.
double between(const double* heights, int64_t cells, double column, double row) {
  const double most = static_cast<double>(cells - 1) - kInside;
  column = std::clamp(column, 0.0, most), row = std::clamp(row, 0.0, most);
  const int64_t i = static_cast<int64_t>(column), j = static_cast<int64_t>(row);
  const double x = column - static_cast<double>(i), y = row - static_cast<double>(j);
  const double* h = heights + i * cells + j;
  return h[0] * (1 - x) * (1 - y) + h[cells] * x * (1 - y) + h[1] * (1 - x) * y + h[cells + 1] * x * y;
}

// Height of a point (x, y, z) over the plane z = a x + b y + c.
double over(const double* plane, const float* p) {
  return p[2] - (plane[0] * p[0] + plane[1] * p[1] + plane[2]);
}

// Sums over points, from which the plane z = a x + b y + c of least squares follows.
struct Sums {
  int64_t count = 0;
  double x = 0, y = 0, z = 0, xx = 0, xy = 0, yy = 0, xz = 0, yz = 0;

  void add(const float* p) {
    const double px = p[0], py = p[1], pz = p[2];
    x += px, y += py, z += pz, xx += px * px, xy += px * py, yy += py * py, xz += px * pz, yz += py * pz;
    ++count;
  }

  // Level at the mean height where the points are above one line.
  void solve(double* plane) const {
    const double n = static_cast<double>(count), mx = x / n, my = y / n;
    const double a = xx - x * mx, b = xy - x * my, c = yy - y * my, d = xz - z * mx, e = yz - z * my;
    const double determinant = a * c - b * b;
    const bool on_line = !(determinant > kOnLine * a * c);
    plane[0] = on_line ? 0 : (d * c - e * b) / determinant;
    plane[1] = on_line ? 0 : (e * a - d * b) / determinant;
    plane[2] = z / n - plane[0] * mx - plane[1] * my;
  }
};

}  // namespace

const char* sphmask_fit_level(const float* xyz, double* plane, double band, int64_t* count, int64_t n) {
  Sums inside;
  for (int64_t i = 0; i < n; ++i)
    if (std::abs(over(plane, xyz + 3 * i)) < band) inside.add(xyz + 3 * i);
  *count = inside.count;
  if (inside.count > 0) inside.solve(plane);
  return kFine;
}

const char* sphmask_near_level(const float* xyz, const double* plane, uint8_t* marks, double below,
                               double above, int64_t n, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    const double height = over(plane, xyz + 3 * i);
    marks[i] = (height > -below) & (height < above);
  }
  return kFine;
}

const char* sphmask_lowest(const float* xyz, double* lowest, double x, double y, double edge, int64_t n,
                           int64_t cells) {
  const Map map{static_cast<float>(x), static_cast<float>(y), static_cast<float>(edge), cells};
  if (const char* wrong = map.refuse(xyz, n)) return wrong;
  std::fill_n(lowest, cells * cells, std::numeric_limits<double>::infinity());
  for (int64_t i = 0; i < n; ++i) {
    const int64_t column = static_cast<int64_t>(map.place(xyz[3 * i], map.x));
    double& low = lowest[column * cells + static_cast<int64_t>(map.place(xyz[3 * i + 1], map.y))];
    low = std::min<double>(low, xyz[3 * i + 2]);
  }
  return kFine;
}

const char* sphmask_spread(double* heights, double rise, int64_t rounds, int64_t cells) {
  return guarded([&] {
    const int64_t wide = cells + 2;  // with a border that is infinitely high
    std::vector<double> now(wide * wide, std::numeric_limits<double>::infinity()), next = now;
    for (int64_t i = 0; i < cells; ++i)
      std::copy_n(heights + i * cells, cells, now.data() + (i + 1) * wide + 1);
    const double diagonal = rise * std::sqrt(2.0);
    for (int64_t round = 0; round < rounds; ++round) {
      for (int64_t i = 1; i <= cells; ++i) {
        const double* above = now.data() + (i - 1) * wide;
        const double* own = now.data() + i * wide;
        const double* below = now.data() + (i + 1) * wide;
        double* out = next.data() + i * wide;
        for (int64_t j = 1; j <= cells; ++j) {
          const double straight = std::min(std::min(above[j], below[j]), std::min(own[j - 1], own[j + 1]));
          const double oblique =
              std::min(std::min(above[j - 1], above[j + 1]), std::min(below[j - 1], below[j + 1]));
          out[j] = std::min(own[j], std::min(straight + rise, oblique + diagonal));
        }
      }
      std::swap(now, next);
    }
    for (int64_t i = 0; i < cells; ++i)
      std::copy_n(now.data() + (i + 1) * wide + 1, cells, heights + i * cells);
    return kFine;
  });
}

const char* sphmask_below_heights(const float* xyz, const double* heights, uint8_t* marks, double x, double y,
                                  double edge, double above, int64_t n, int64_t cells, int64_t threads) {
  const Map map{static_cast<float>(x), static_cast<float>(y), static_cast<float>(edge), cells};
  if (const char* wrong = map.refuse(xyz, n)) return wrong;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    const float* p = xyz + 3 * i;
    const double column = map.place(p[0], map.x) - 0.5f, row = map.place(p[1], map.y) - 0.5f;
    marks[i] = p[2] < between(heights, cells, column, row) + above;
  }
  return kFine;
}
