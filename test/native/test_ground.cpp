// SPDX-License-Identifier: Apache-2.0
// The kernels of floors: normals, planes that are nearly level. Those of open ground: the lowest points of
// cells, spread heights, and what lies below them.

#include <algorithm>
#include <limits>

#include "check.h"
#include "kernels.h"

namespace {

constexpr int64_t kCells = 8;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

TEST(normals_are_those_of_flat_neighborhoods) {
  Random random(44);
  std::vector<float> xyz;
  for (int64_t i = 0; i < 300; ++i) {
    const double x = random.uniform(-1, 1), y = random.uniform(-1, 1);
    for (const double axis : {x, y, 0.5 * x}) xyz.push_back(float(axis));
  }
  std::vector<double> normals(3 * 40);
  int64_t count = 0;
  CHECK_FINE(sphmask_surface_normals(xyz.data(), normals.data(), 9, 0.05, &count, 300, 40, kThreads));
  CHECK(count == 40);
  for (int64_t i = 0; i < count; ++i) {
    const double* n = normals.data() + 3 * i;
    CHECK(std::abs(n[0] + 0.5 * n[2]) < 1e-5 && std::abs(n[1]) < 1e-5);  // the signs are arbitrary
  }
  const auto cloud = random.uniforms<float>(3 * 300, -1, 1);
  CHECK_FINE(sphmask_surface_normals(cloud.data(), normals.data(), 64, 0.01, &count, 300, 40, kThreads));
  CHECK(count == 0);
  const std::vector<float> one(3 * 300, 2.0f);
  CHECK_FINE(sphmask_surface_normals(one.data(), normals.data(), 9, 0.05, &count, 300, 40, kThreads));
  CHECK(count == 0);
  xyz[7] = std::nanf("");
  CHECK_REFUSED(sphmask_surface_normals(xyz.data(), normals.data(), 9, 0.05, &count, 300, 40, kThreads));
  CHECK_REFUSED(sphmask_surface_normals(cloud.data(), normals.data(), 65, 0.05, &count, 300, 40, kThreads));
  CHECK_REFUSED(sphmask_surface_normals(cloud.data(), normals.data(), 9, 0.05, &count, 30, 40, kThreads));
}

TEST(a_level_is_fitted_to_what_is_near_it) {
  std::vector<float> xyz;
  for (int64_t i = 0; i < 100; ++i) {
    const float x = float(i % 10), y = float(i / 10);
    for (const float axis : {x, y, 0.01f * x - 0.02f * y + (i % 7 ? 1.0f : 3.0f)}) xyz.push_back(axis);
  }
  std::vector<double> plane = {0, 0, 1};
  int64_t count = 0;
  CHECK_FINE(sphmask_fit_level(xyz.data(), plane.data(), 0.5, &count, 100));
  CHECK(count == 85);
  CHECK(std::abs(plane[0] - 0.01) < 1e-6 && std::abs(plane[1] + 0.02) < 1e-6 &&
        std::abs(plane[2] - 1) < 1e-6);
  std::vector<uint8_t> marks(100);
  CHECK_FINE(sphmask_near_level(xyz.data(), plane.data(), marks.data(), 0.1, 0.1, 100, kThreads));
  for (int64_t i = 0; i < 100; ++i) CHECK(marks[i] == (i % 7 != 0));
  CHECK_FINE(sphmask_near_level(xyz.data(), plane.data(), marks.data(), -1, 3, 100, kThreads));
  for (int64_t i = 0; i < 100; ++i) CHECK(marks[i] == (i % 7 == 0));
  const std::vector<float> line = {0, 0, 1, 1, 1, 2, 2, 2, 3};
  plane = {0, 0, 2};
  CHECK_FINE(sphmask_fit_level(line.data(), plane.data(), 5, &count, 3));
  CHECK(count == 3 && plane[0] == 0 && plane[1] == 0 && plane[2] == 2);
  CHECK_FINE(sphmask_fit_level(line.data(), plane.data(), 0, &count, 3));
  CHECK(count == 0 && plane[2] == 2);
}

TEST(the_lowest_point_of_each_cell_is_found) {
  const std::vector<float> xyz = {0.5f, 0.5f, 2, 0.6f, 0.4f, 1, -3.5f, 0.5f, 7, 99, -99, 5};
  std::vector<double> lowest(kCells * kCells);
  CHECK_FINE(sphmask_lowest(xyz.data(), lowest.data(), 0, 0, 1, 4, kCells));
  CHECK(lowest[4 * kCells + 4] == 1 && lowest[4] == 7);
  CHECK(lowest[6 * kCells] == 5);  // beyond the map: in the last cell that has a next one
  CHECK(std::count(lowest.begin(), lowest.end(), kInfinite) == kCells * kCells - 3);
  for (const double edge : {0.0, -1.0, kInfinite, std::nan("")})
    CHECK_REFUSED(sphmask_lowest(xyz.data(), lowest.data(), 0, 0, edge, 4, kCells));
  CHECK_REFUSED(sphmask_lowest(xyz.data(), lowest.data(), 0, 1e300, 1, 4, kCells));
  CHECK_REFUSED(sphmask_lowest(xyz.data(), lowest.data(), 0, 0, 1, 4, 1));
}

TEST(heights_spread_by_one_cell_a_round) {
  std::vector<double> heights(kCells * kCells, kInfinite);
  heights[3 * kCells + 3] = 1;
  CHECK_FINE(sphmask_spread(heights.data(), 0.5, 2, kCells));
  CHECK(heights[3 * kCells + 3] == 1 && heights[3 * kCells + 4] == 1.5 && heights[5 * kCells + 3] == 2);
  CHECK(std::abs(heights[4 * kCells + 4] - 1 - 0.5 * std::sqrt(2.0)) < 1e-12);
  CHECK(heights[3 * kCells + 6] == kInfinite && heights[0] == kInfinite);
  CHECK(std::count(heights.begin(), heights.end(), kInfinite) == kCells * kCells - 25);
}

TEST(points_below_a_slope_are_marked) {
  std::vector<double> heights(kCells * kCells);
  for (int64_t i = 0; i < kCells * kCells; ++i) heights[i] = 0.5 * double(i / kCells);  // 0.5 a cell along x
  Random random(43);
  std::vector<float> xyz;
  for (int64_t i = 0; i < 500; ++i)
    for (const double most : {3.4, 3.4, 3.0}) xyz.push_back(float(random.uniform(-most, most)));
  std::vector<uint8_t> marks(500);
  CHECK_FINE(
      sphmask_below_heights(xyz.data(), heights.data(), marks.data(), 0, 0, 1, 0.2, 500, kCells, kThreads));
  for (int64_t i = 0; i < 500; ++i) {
    const double over = xyz[3 * i + 2] - 0.5 * (xyz[3 * i] + 3.5);
    if (std::abs(over - 0.2) > 1e-4) CHECK(marks[i] == (over < 0.2));
  }
}

}  // namespace
