// SPDX-License-Identifier: Apache-2.0
// Vectors of three numbers, and the direction in which points spread least.
#pragma once

#include <algorithm>
#include <cmath>

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

struct Eigen {
  double value, x, y, z;
};

// Smallest eigenvalue and its unit eigenvector; the vector is 0 for a multiple of 1. There is no branch and
// no call, so that a loop of it treats as many matrices at once as a vector holds. Scaled to trace 0 and
// squares of sum 6, the matrix has as eigenvalues the roots of t^3 - 3 t = 2 h, where 2 h is its determinant.
// The smallest is -1 - e with e^3 + 3 e^2 = 2 (1 - h) and 0 <= e <= 1. Newton's method begins at sqrt((1 - h)
// / 2), wrong by less than a fifth; four steps are exact but for rounding.
inline Eigen smallest_eigenvector(const Covariance& m) {
  const double mean = (m.xx + m.yy + m.zz) / 3, x = m.xx - mean, y = m.yy - mean, z = m.zz - mean;
  const double off = m.xy * m.xy + m.xz * m.xz + m.yz * m.yz;
  const double spread = std::sqrt((x * x + y * y + z * z + 2 * off) / 6), scale = spread > 0 ? 1 / spread : 0;
  const double p = x * scale, q = y * scale, r = z * scale;
  const double u = m.xy * scale, v = m.xz * scale, w = m.yz * scale;
  const double h = (p * (q * r - w * w) - u * (u * r - w * v) + v * (u * w - q * v)) / 2;
  const double rest = std::max(1 - h, 0.0);
  double e = std::sqrt(rest / 2);
  const double least = 1e-300;  // a slope that 0 is divided by where e is 0
  for (int step = 0; step < 4; ++step) e -= ((e + 3) * e * e - 2 * rest) / (3 * e * (e + 2) + least);
  const double a = p + 1 + e, b = q + 1 + e, c = r + 1 + e;

  // The rows of (a u v), (u b w), (v w c) are at right angles to the vector: the longest product of two.
  const double x0 = u * w - v * b, y0 = v * u - a * w, z0 = a * b - u * u, s0 = x0 * x0 + y0 * y0 + z0 * z0;
  const double x1 = b * c - w * w, y1 = w * v - u * c, z1 = u * w - b * v, s1 = x1 * x1 + y1 * y1 + z1 * z1;
  const double x2 = w * v - c * u, y2 = c * a - v * v, z2 = v * u - w * a, s2 = x2 * x2 + y2 * y2 + z2 * z2;
  const bool second = s1 > s0, third = s2 > (second ? s1 : s0);
  const auto longest = [&](double of0, double of1, double of2) { return third ? of2 : second ? of1 : of0; };
  const double squared = longest(s0, s1, s2);
  const double length = squared > 1e-12 && spread > 0 ? 1 / std::sqrt(squared) : 0;
  return {mean - spread * (1 + e), length * longest(x0, x1, x2), length * longest(y0, y1, y2),
          length * longest(z0, z1, z2)};
}

}  // namespace
