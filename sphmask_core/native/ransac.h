// SPDX-License-Identifier: Apache-2.0
// The plane with most of a sample's points: RANSAC (Fischler and Bolles 1981), refined by least squares.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "sort.h"

namespace {

constexpr float kFarthest = 1e4f;  // meters along an axis; squares of these are still precise
constexpr int kHypotheses = 512;   // planes through three points, for each plane that is found
constexpr int kScored = 512;       // points that all hypotheses are compared on
constexpr int kFinalists = 8;      // the best of them are compared on all points
constexpr int kFits = 4;           // rounds of least squares on the inliers
constexpr std::array<int64_t, 3> kWindows = {24, 96,
                                             384};  // points of a hypothesis lie so near in Morton order
constexpr float kTaken = 2;  // points within so many tolerances are not searched for further planes

struct Plane {
  float x = 0, y = 0, z = 0, offset = 0;
  float distance(float px, float py, float pz) const { return x * px + y * py + z * pz + offset; }
};

// Points as columns, so that the compiler vectorizes loops over them.
struct Columns {
  std::vector<float> x, y, z, tolerance;
  std::vector<int32_t> row;  // in the columns of all points
  int64_t size() const { return static_cast<int64_t>(x.size()); }

  void add(const Columns& from, int64_t i) {
    x.push_back(from.x[i]), y.push_back(from.y[i]), z.push_back(from.z[i]);
    tolerance.push_back(from.tolerance[i]), row.push_back(from.row[i]);
  }
};

// A small generator with a fixed seed: results repeat.
struct Random {
  uint64_t state = 0x9E3779B97F4A7C15u;
  int64_t below(int64_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(n));
  }
};

// Bits of v with two zeros after each.
uint64_t spread(uint64_t v) {
  v = (v | v << 16) & 0x030000FF;
  v = (v | v << 8) & 0x0300F00F;
  v = (v | v << 4) & 0x030C30C3;
  return (v | v << 2) & 0x09249249;
}

// The points in Morton order: near in the order is near in space.
Columns in_morton_order(const float* xyz, const float* tolerance, int64_t n) {
  float low[3], scale[3];
  for (int axis = 0; axis < 3; ++axis) {
    float high = low[axis] = xyz[axis];
    for (int64_t i = 1; i < n; ++i)
      low[axis] = std::min(low[axis], xyz[3 * i + axis]), high = std::max(high, xyz[3 * i + axis]);
    scale[axis] = high > low[axis] ? 1023 / (high - low[axis]) : 0;
  }
  const float finest = std::min({scale[0], scale[1], scale[2]});
  std::vector<uint64_t> keys(n);
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = 0; i < n; ++i) {
    uint64_t key = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const float place =
          std::min(1023.0f, (xyz[3 * i + axis] - low[axis]) * finest);  // if it overflows, too
      key |= spread(static_cast<uint64_t>(std::max(0.0f, place))) << axis;
    }
    keys[i] = key;
  }
  radix_sort(keys, order);
  Columns points;
  for (int32_t i : order) {
    points.x.push_back(xyz[3 * i]), points.y.push_back(xyz[3 * i + 1]), points.z.push_back(xyz[3 * i + 2]);
    points.tolerance.push_back(tolerance[i]), points.row.push_back(static_cast<int32_t>(points.row.size()));
  }
  return points;
}

int64_t count_inliers(const Columns& p, const Plane& plane) {
  int32_t count = 0;
  const int64_t n = p.size();
  for (int64_t i = 0; i < n; ++i) count += std::abs(plane.distance(p.x[i], p.y[i], p.z[i])) <= p.tolerance[i];
  return count;
}

// The plane through three points; a plane without a normal where they are on a line.
Plane through(const Columns& p, int64_t a, int64_t b, int64_t c) {
  const float ux = p.x[b] - p.x[a], uy = p.y[b] - p.y[a], uz = p.z[b] - p.z[a];
  const float vx = p.x[c] - p.x[a], vy = p.y[c] - p.y[a], vz = p.z[c] - p.z[a];
  Plane plane{uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx, 0};
  const float length = std::sqrt(plane.x * plane.x + plane.y * plane.y + plane.z * plane.z);
  const float sides = std::sqrt((ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz));
  if (!(length > 1e-3f * sides)) return {};
  plane.x /= length, plane.y /= length, plane.z /= length;
  plane.offset = -(plane.x * p.x[a] + plane.y * p.y[a] + plane.z * p.z[a]);
  return plane;
}

// Unit eigenvector of the least eigenvalue of a symmetric matrix {xx, xy, xz, yy, yz, zz} (Jacobi rotations).
std::array<double, 3> least_eigenvector(const std::array<double, 6>& m) {
  double a[3][3] = {{m[0], m[1], m[2]}, {m[1], m[3], m[4]}, {m[2], m[4], m[5]}};
  double v[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  for (int sweep = 0; sweep < 12; ++sweep)
    for (int p = 0; p < 2; ++p)
      for (int q = p + 1; q < 3; ++q) {
        if (std::abs(a[p][q]) < 1e-30) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (int k = 0; k < 3; ++k) {
          const double kp = a[k][p], kq = a[k][q];
          a[k][p] = c * kp - s * kq, a[k][q] = s * kp + c * kq;
        }
        for (int k = 0; k < 3; ++k) {
          const double pk = a[p][k], qk = a[q][k], vp = v[k][p], vq = v[k][q];
          a[p][k] = c * pk - s * qk, a[q][k] = s * pk + c * qk;
          v[k][p] = c * vp - s * vq, v[k][q] = s * vp + c * vq;
        }
      }
  int least = 0;
  for (int i = 1; i < 3; ++i)
    if (a[i][i] < a[least][least]) least = i;
  return {v[0][least], v[1][least], v[2][least]};
}

// Least squares plane of the inliers; the plane itself where there are too few.
Plane fit(const Columns& p, const Plane& plane) {
  double sum[3] = {0, 0, 0};
  int64_t count = 0;
  std::vector<int32_t> inliers;
  for (int64_t i = 0; i < p.size(); ++i)
    if (std::abs(plane.distance(p.x[i], p.y[i], p.z[i])) <= p.tolerance[i]) {
      sum[0] += p.x[i], sum[1] += p.y[i], sum[2] += p.z[i], ++count;
      inliers.push_back(static_cast<int32_t>(i));
    }
  if (count < 3) return plane;
  const double mean[3] = {sum[0] / count, sum[1] / count, sum[2] / count};
  std::array<double, 6> m{};
  for (int32_t i : inliers) {
    const double x = p.x[i] - mean[0], y = p.y[i] - mean[1], z = p.z[i] - mean[2];
    m[0] += x * x, m[1] += x * y, m[2] += x * z, m[3] += y * y, m[4] += y * z, m[5] += z * z;
  }
  const auto normal = least_eigenvector(m);
  const double offset = -(normal[0] * mean[0] + normal[1] * mean[1] + normal[2] * mean[2]);
  return {static_cast<float>(normal[0]), static_cast<float>(normal[1]), static_cast<float>(normal[2]),
          static_cast<float>(offset)};
}

Columns every(const Columns& points, int64_t count) {
  Columns few;
  const int64_t n = points.size();
  for (int64_t i = 0; i < std::min(count, n); ++i) few.add(points, i * n / std::min(count, n));
  return few;
}

Plane random_plane(const Columns& points, int64_t window, Random& random) {
  const int64_t n = points.size(), width = std::min(window, n), start = random.below(n - width + 1);
  const int64_t a = start + random.below(width), b = start + random.below(width),
                c = start + random.below(width);
  return through(points, a, b, c);
}

// The plane with most inliers.
Plane best_plane(const Columns& points, Random& random) {
  const Columns few = every(points, kScored);
  std::vector<std::pair<int64_t, Plane>> hypotheses;
  for (int h = 0; h < kHypotheses; ++h) {
    const Plane plane = random_plane(points, kWindows[h % kWindows.size()], random);
    if (plane.x == 0 && plane.y == 0 && plane.z == 0) continue;
    hypotheses.emplace_back(count_inliers(few, plane), plane);
  }
  const auto better = [](const auto& a, const auto& b) { return a.first > b.first; };
  std::stable_sort(hypotheses.begin(), hypotheses.end(), better);
  if (hypotheses.size() > kFinalists) hypotheses.resize(kFinalists);
  for (auto& [count, plane] : hypotheses) {
    plane = fit(few, fit(few, plane));
    count = count_inliers(points, plane);
  }
  std::stable_sort(hypotheses.begin(), hypotheses.end(), better);
  if (hypotheses.empty()) return {};
  Plane best = hypotheses[0].second;
  for (int round = 0; round < kFits; ++round) best = fit(points, best);
  return best;
}

}  // namespace
