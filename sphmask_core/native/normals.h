// SPDX-License-Identifier: Apache-2.0
// Vectors of three numbers, and the direction in which points spread least.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace {

struct Vec {
  float x, y, z;
};

inline Vec operator+(Vec a, Vec b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec operator-(Vec a, Vec b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Vec rounded(double x, double y, double z) {
  return {static_cast<float>(x), static_cast<float>(y), static_cast<float>(z)};
}
inline float dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

struct Covariance {
  double xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;
};

// Smallest eigenvalue and its unit eigenvector by the trigonometric formula; the vector is 0 for a multiple
// of 1.
std::pair<double, std::array<double, 3>> smallest_eigenvector(const Covariance& m) {
  const double mean = (m.xx + m.yy + m.zz) / 3, x = m.xx - mean, y = m.yy - mean, z = m.zz - mean;
  const double off = m.xy * m.xy + m.xz * m.xz + m.yz * m.yz;
  const double spread = std::sqrt((x * x + y * y + z * z + 2 * off) / 6);
  if (!(spread > 0)) return {mean, {0, 0, 0}};
  const double p = x / spread, q = y / spread, r = z / spread;
  const double u = m.xy / spread, v = m.xz / spread, w = m.yz / spread;
  const double half = (p * (q * r - w * w) - u * (u * r - w * v) + v * (u * w - q * v)) / 2;
  const double low = 2 * std::cos(std::acos(std::clamp(half, -1.0, 1.0)) / 3 + 2.0943951023931953);
  const double rows[3][3] = {{p - low, u, v}, {u, q - low, w}, {v, w, r - low}};
  std::array<double, 3> best{};
  double longest = 1e-12;
  for (int i = 0; i < 3; ++i) {
    const double *s = rows[i], *t = rows[(i + 1) % 3];
    const double n[3] = {s[1] * t[2] - s[2] * t[1], s[2] * t[0] - s[0] * t[2], s[0] * t[1] - s[1] * t[0]};
    const double squared = n[0] * n[0] + n[1] * n[1] + n[2] * n[2];
    if (squared > longest) longest = squared, std::copy(n, n + 3, best.begin());
  }
  const double scale = longest > 1e-12 ? 1 / std::sqrt(longest) : 0;
  return {mean + spread * low, {best[0] * scale, best[1] * scale, best[2] * scale}};
}

}  // namespace
