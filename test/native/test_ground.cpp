// SPDX-License-Identifier: Apache-2.0
// The kernels of open ground: the lowest points of cells, spread heights, and what lies below them.

#include <algorithm>
#include <limits>

#include "check.h"
#include "kernels.h"

namespace {

constexpr int64_t kCells = 8;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

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
