// SPDX-License-Identifier: Apache-2.0
// The gently curved surface through the points near a plane, and their noise, by iterated robust least
// squares.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "cells.h"
#include "guard.h"
#include "kernels.h"
#include "robust.h"

namespace {

constexpr int64_t kMostFitted = 1024;  // points that a surface is fitted to
constexpr int kRounds = 4;             // fits, each with new weights
constexpr double kTukey = 4.685;       // residuals of so many deviations have no weight (Tukey's biweight at
                                       // 95 % efficiency)
constexpr double kNoise = 0.0015;      // 1/meter: of a plane with no points to tell it
constexpr double kNearest = 0.05;  // meters: nothing is nearer to a sensor, unless it is not at the origin
constexpr double kLeastNoise = 0.0005;  // meters: no depth camera measures better
constexpr double kRidge = 1e-3;         // added to the diagonal of the equations, so that few points in a
                                        // corner bend no surface

// As sphmask_core/method/supports.py fills it, in floats.
struct Plane {
  float normal[3], offset;
  float u[3], v[3];    // axes in the plane
  float low[2], cell;  // corner of the cells of its extent, and their edge
};

// As sphmask_core/method/supports.py reads it, in doubles.
struct Fit {
  double middle[2], scale[2];  // (foot - middle) scale is from -1 to 1 in the cells that are seen
  double cubic[kTerms];        // height of the surface over the plane
  double noise;                // 1/meter: deviation of the heights over the squared distance from the sensor
};

using Terms = std::array<double, kTerms>;

// Points near a plane.
struct Points {
  std::vector<Terms> terms;
  std::vector<double> heights, squares, weights;  // squares: of the distance from the sensor
};

float dot(const float* a, const float* b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
double squared(const float* a) {
  const double x = a[0], y = a[1], z = a[2];
  return x * x + y * y + z * z;
}

// Sets middle and scale by the first and the last row and column of cells that are seen.
void set_box(const Plane& plane, const uint8_t* seen, Fit& fit) {
  int first[2] = {kCells, kCells}, last[2] = {-1, -1};
  for (int cell = 0; cell < kCells * kCells; ++cell) {
    const int at[2] = {cell / kCells, cell % kCells};
    for (int axis = 0; seen[cell] && axis < 2; ++axis)
      first[axis] = std::min(first[axis], at[axis]), last[axis] = std::max(last[axis], at[axis]);
  }
  for (int axis = 0; axis < 2; ++axis) {
    fit.middle[axis] = plane.low[axis] + plane.cell * (first[axis] + last[axis] + 1) / 2.0;
    fit.scale[axis] = 2 / (static_cast<double>(plane.cell) * std::max(last[axis] + 1 - first[axis], 1));
  }
}

bool is_seen(const Plane& plane, const uint8_t* seen, float u, float v) {
  const float column = (u - plane.low[0]) / plane.cell, row = (v - plane.low[1]) / plane.cell;
  return column >= 0 && row >= 0 && column < kCells && row < kCells &&
         seen[static_cast<int>(column) * kCells + static_cast<int>(row)];
}

// The points of the plane's cells that are seen, at most kMostFitted of those near the plane. Those that are
// on it have a weight of 1.
Points near_plane(const Plane& plane, const float* xyz, const float* tolerance, const uint8_t* seen,
                  const Fit& fit, int64_t n) {
  std::vector<int64_t> near;
  for (int64_t i = 0; i < n; ++i)
    if (std::abs(dot(plane.normal, xyz + 3 * i) + plane.offset) < 2 * tolerance[i]) near.push_back(i);
  const size_t step = std::max<size_t>(1, (near.size() + kMostFitted - 1) / kMostFitted);
  Points points;
  for (size_t k = 0; k < near.size(); k += step) {
    const float* const at = xyz + 3 * near[k];
    const float u = dot(plane.u, at), v = dot(plane.v, at);
    if (!is_seen(plane, seen, u, v)) continue;
    const double p = (u - fit.middle[0]) * fit.scale[0], q = (v - fit.middle[1]) * fit.scale[1];
    const float height = dot(plane.normal, at) + plane.offset;
    points.terms.push_back({1, p, q, p * p, p * q, q * q, p * p * p, p * p * q, p * q * q, q * q * q});
    points.heights.push_back(height);
    points.squares.push_back(std::max(squared(at), kNearest * kNearest));
    points.weights.push_back(std::abs(height) < tolerance[near[k]]);
  }
  return points;
}

// The coefficients of least weighted squared gaps, by Cholesky's method; those that no point tells stay
// small.
Terms solve(const Points& points) {
  std::array<Terms, kTerms> rows{};
  Terms right{};
  double total = 0;
  for (size_t i = 0; i < points.terms.size(); ++i) {
    const Terms& t = points.terms[i];
    for (int a = 0; a < kTerms; ++a) {
      const double weighted = points.weights[i] * t[a];
      for (int b = 0; b < kTerms; ++b) rows[a][b] += weighted * t[b];
      right[a] += weighted * points.heights[i];
    }
    total += points.weights[i];
  }
  for (int a = 0; a < kTerms; ++a) {
    rows[a][a] += kRidge * (1 + total);
    for (int b = 0; b < a; ++b) {
      for (int k = 0; k < b; ++k) rows[a][b] -= rows[a][k] * rows[b][k];
      rows[a][b] /= rows[b][b];
      rows[a][a] -= rows[a][b] * rows[a][b];
      right[a] -= rows[a][b] * right[b];
    }
    rows[a][a] = std::sqrt(rows[a][a]);
    right[a] /= rows[a][a];
  }
  for (int a = kTerms - 1; a >= 0; --a) {
    for (int b = a + 1; b < kTerms; ++b) right[a] -= rows[b][a] * right[b];
    right[a] /= rows[a][a];
  }
  return right;
}

void fit_cubic(Points& points, Fit& fit) {
  const size_t count = points.terms.size();
  std::vector<double> gaps(count), noises;
  fit.noise = kNoise;
  for (int round = 0; round < kRounds; ++round) {
    const Terms cubic = solve(points);
    std::copy(cubic.begin(), cubic.end(), fit.cubic);
    noises.clear();
    for (size_t i = 0; i < count; ++i) {
      gaps[i] = points.heights[i];
      for (int a = 0; a < kTerms; ++a) gaps[i] -= cubic[a] * points.terms[i][a];
      if (points.weights[i] > 0) noises.push_back(std::abs(gaps[i]) / points.squares[i]);
    }
    if (!noises.empty()) fit.noise = kDeviation * median(noises);
    for (size_t i = 0; i < count; ++i) {
      const double reach = kTukey * std::max(fit.noise * points.squares[i], kLeastNoise);
      const double kept = std::max(1 - gaps[i] * gaps[i] / (reach * reach), 0.0);
      points.weights[i] = kept * kept;
    }
  }
}

static_assert(sizeof(Plane) == 13 * sizeof(float) && sizeof(Fit) == 15 * sizeof(double),
              "kernels.py says how many numbers these have");

}  // namespace

const char* sphmask_fit_surface(const float* xyz, const float* tolerance, const float* values,
                                const uint8_t* seen, double* fitted, int64_t n) {
  if (!all_finite(xyz, 3 * n)) return "xyz has a coordinate that is not finite";
  if (!all_finite(values, sizeof(Plane) / sizeof(float))) return "plane has a number that is not finite";
  return guarded([&] {
    Plane plane;
    std::memcpy(&plane, values, sizeof plane);
    Fit fit;
    set_box(plane, seen, fit);
    Points points = near_plane(plane, xyz, tolerance, seen, fit, n);
    fit_cubic(points, fit);
    std::memcpy(fitted, &fit, sizeof fit);
    return kFine;
  });
}
