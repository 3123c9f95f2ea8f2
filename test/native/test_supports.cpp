// SPDX-License-Identifier: Apache-2.0
// The supports' kernels: a sample, the planes in it, and the points that lie on surfaces near them.

#include <algorithm>
#include <limits>
#include <utility>

#include "check.h"
#include "kernels.h"

namespace {

constexpr int64_t kPatch = 25, kCells = 48, kSurface = 33, kCovered = 52, kMost = 4;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A table 1 m below the sensor, with a few points beside it that lie on nothing.
std::vector<float> table(int64_t count) {
  Random random(41);
  std::vector<float> xyz;
  for (int64_t i = 0; i < count; ++i) {
    const bool on = i % 5 != 0;
    for (const double value : {random.uniform(-0.5, 0.5), random.uniform(-0.4, 0.4),
                               on ? -1 + random.uniform(-0.001, 0.001) : random.uniform(-0.9, -0.1)})
      xyz.push_back(float(value));
  }
  return xyz;
}

TEST(a_sample_is_of_finite_points_spread_over_the_rows) {
  auto xyz = table(1000);
  xyz[3 * 500] = kNan;
  Random random(42);
  const auto jitter = random.uniforms<double>(100, 0, 0.999);
  std::vector<float> points(300);
  int64_t count = 0;
  CHECK_FINE(sphmask_sample(xyz.data(), jitter.data(), points.data(), &count, 1000, 100));
  CHECK(count == 100 || count == 99);
  for (int64_t i = 0; i < 3 * count; ++i) CHECK(std::isfinite(points[i]));
  for (const double strange : {-0.1, 1.0, double(kNan)}) {
    auto wrong = jitter;
    wrong[3] = strange;
    CHECK_REFUSED(sphmask_sample(xyz.data(), wrong.data(), points.data(), &count, 1000, 100));
  }
}

TEST(the_largest_plane_is_the_table) {
  auto xyz = table(3000);
  std::vector<float> tolerance(3000, 0.005f), patches(kMost * kPatch);
  std::vector<uint8_t> seen(kMost * kCells * kCells);
  int64_t count = 0;
  const auto find = [&](int64_t fewest) {
    return sphmask_planes(xyz.data(), tolerance.data(), patches.data(), seen.data(), fewest, &count, 3000,
                          kMost);
  };
  CHECK_FINE(find(300));
  CHECK(count >= 1 && count <= kMost);
  CHECK(std::abs(patches[2] - 1) < 1e-3 && std::abs(patches[3] - 1) < 2e-3);  // up, 1 m below
  CHECK(std::count(seen.begin(), seen.begin() + kCells * kCells, 1) > 100);
  CHECK_FINE(find(INT64_MAX));
  CHECK(count == 0);
  xyz[7] = kNan;
  CHECK_REFUSED(find(300));
}

TEST(a_bent_plane_is_followed_whatever_lies_on_it) {
  auto xyz = table(3000);
  const auto bend = [](float x, float y) { return 0.02f * x * x - 0.01f * x * y * y; };
  for (int64_t i = 0; i < 3000; ++i) xyz[3 * i + 2] += bend(xyz[3 * i], xyz[3 * i + 1]);
  std::vector<float> tolerance(3000, 0.02f);
  const float plane[13] = {0, 0, 1, 1, 1, 0, 0, 0, 1, 0, -0.5f, -0.4f, 0.025f};  // 40 by 32 cells
  std::vector<uint8_t> seen(kCells * kCells);
  for (int64_t c = 0; c < 40; ++c) std::fill_n(seen.begin() + c * kCells, 32, uint8_t(1));
  double fit[15];
  CHECK_FINE(sphmask_fit_surface(xyz.data(), tolerance.data(), plane, seen.data(), fit, 3000));
  CHECK(std::abs(fit[0]) < 1e-6 && std::abs(fit[2] - 2) < 1e-6 && std::abs(fit[3] - 2.5) < 1e-6);
  for (const auto& [x, y] : {std::pair{0.4f, 0.3f}, {-0.4f, 0.1f}, {0.f, -0.3f}}) {
    const double p = 2 * x, q = 2.5 * y,
                 terms[10] = {1, p, q, p * p, p * q, q * q, p * p * p, p * p * q, p * q * q, q * q * q};
    double height = 0;
    for (int k = 0; k < 10; ++k) height += fit[4 + k] * terms[k];
    CHECK(std::abs(height - bend(x, y)) < 3e-4);
  }
  CHECK(fit[14] > 1e-4 && fit[14] < 1e-3);  // 0.6 mm at 1 m
  std::fill(seen.begin(), seen.end(), uint8_t(0));
  CHECK_FINE(sphmask_fit_surface(xyz.data(), tolerance.data(), plane, seen.data(), fit, 3000));
  CHECK(fit[4] == 0 && fit[14] == 0.0015);  // nothing is seen
  xyz[7] = kNan;
  CHECK_REFUSED(sphmask_fit_surface(xyz.data(), tolerance.data(), plane, seen.data(), fit, 3000));
}

TEST(points_on_a_surface_are_marked) {
  auto xyz = table(3000);
  xyz[3 * 10] = kNan;
  const float surface[kSurface] = {
      0,      0,      1,      1,                                     // the plane z = -1
      1,      0,      0,      0,      1,          0, 0, 0, 2, 2.5f,  // axes, middle and scale
      0,      0,      0,      0,      0,          0, 0, 0, 0, 0,     // a flat cubic
      0.001f, 0.003f, 0.02f,  0.03f,                                 // noise, above, most above, below
      1e9f,   0,      -0.55f, -0.55f, 1 / 0.0215f};
  std::vector<uint8_t> covered(kCovered * kCovered, 1), marks(3000);
  covered[0] = 0;
  CHECK_FINE(sphmask_on_surfaces(xyz.data(), surface, covered.data(), marks.data(), kThreads, 3000, 1));
  int64_t wrong = 0;
  for (int64_t i = 0; i < 3000; ++i) wrong += marks[i] != (i % 5 != 0);
  CHECK(wrong <= 5);
  CHECK(!marks[10]);
  std::vector<float> many(25 * kSurface);
  std::vector<uint8_t> cells(25 * kCovered * kCovered, 1);
  CHECK_REFUSED(sphmask_on_surfaces(xyz.data(), many.data(), cells.data(), marks.data(), kThreads, 3000, 25));
  for (const float strange : {kNan, std::numeric_limits<float>::infinity(), -1e30f}) {
    std::fill(many.begin(), many.end(), strange);
    CHECK_FINE(sphmask_on_surfaces(xyz.data(), many.data(), cells.data(), marks.data(), kThreads, 3000, 24));
  }
}

}  // namespace
