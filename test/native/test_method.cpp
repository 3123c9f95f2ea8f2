// SPDX-License-Identifier: Apache-2.0
// Farthest points and ball query to the last bit, superpoints on plain shapes, migration against its formula.

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <thread>

#include "check.h"
#include "kernels.h"

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// In the order of operations that the kernels and the reference in Python have.
float squared_distance(const float* a, const float* b) {
  const float x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
  return (x * x + y * y) + z * z;
}

// Points on a coarse grid, so that many are equal and many distances too.
std::vector<float> cloud(uint32_t seed, int64_t count) {
  Random random(seed);
  auto xyz = random.uniforms<float>(3 * count, -1, 1);
  for (int64_t i = 0; i < 3 * count; i += 2) xyz[i] = std::round(4 * xyz[i]) * 0.1f;
  return xyz;
}

TEST(farthest_points_are_those_of_the_plain_loop) {
  constexpr int64_t count = 3000, picks = 200;
  const auto xyz = cloud(21, count);
  std::vector<uint8_t> skip(count);
  for (int64_t i = 0; i < count; ++i) skip[i] = i % 5 == 0;
  for (const uint8_t* skipped :
       {static_cast<const uint8_t*>(nullptr), static_cast<const uint8_t*>(skip.data())}) {
    std::vector<int64_t> picked(picks);
    CHECK_FINE(sphmask_farthest_points(xyz.data(), picked.data(), skipped, 10, count, picks));
    std::vector<float> distance(count, kInfinity);
    for (int64_t i = 0; skipped && i < count; ++i)
      if (skipped[i]) distance[i] = -1;
    int64_t next = 10;
    for (int64_t i = 0; i < picks; ++i) {
      CHECK(picked[i] == next);
      for (int64_t j = 0; j < count; ++j)
        distance[j] = std::min(distance[j], squared_distance(&xyz[3 * j], &xyz[3 * next]));
      next = std::max_element(distance.begin(), distance.end()) - distance.begin();
    }
  }
}

TEST(farthest_points_refuse_what_is_no_point) {
  auto xyz = cloud(22, 100);
  std::vector<int64_t> picked(10);
  CHECK_REFUSED(sphmask_farthest_points(xyz.data(), picked.data(), nullptr, 100, 100, 10));
  for (const float strange : {kNan, kInfinity}) {
    xyz[150] = strange;
    CHECK_REFUSED(sphmask_farthest_points(xyz.data(), picked.data(), nullptr, 0, 100, 10));
  }
}

TEST(ball_query_finds_the_first_points_within) {
  constexpr int64_t count = 3000, queries = 300, k = 12;
  const auto xyz = cloud(23, count);
  const float radius = 0.3f;
  std::vector<int64_t> hits(queries * k);
  CHECK_FINE(sphmask_ball_query(xyz.data(), xyz.data(), hits.data(), radius, count, queries, k, kThreads));
  for (int64_t q = 0; q < queries; ++q) {
    std::vector<int64_t> expected;
    for (int64_t i = 0; i < count && int64_t(expected.size()) < k; ++i)
      if (squared_distance(&xyz[3 * i], &xyz[3 * q]) < radius * radius) expected.push_back(i);
    expected.resize(k, expected.empty() ? 0 : expected[0]);
    CHECK(std::equal(expected.begin(), expected.end(), hits.begin() + q * k));
  }
}

TEST(ball_query_with_any_radius_stays_within_its_arrays) {
  auto xyz = cloud(24, 100);
  std::vector<int64_t> hits(300);
  for (const float radius : {0.0f, 1e-38f, 3e38f, kInfinity}) {
    CHECK_FINE(sphmask_ball_query(xyz.data(), xyz.data(), hits.data(), radius, 100, 100, 3, kThreads));
    for (const int64_t hit : hits) CHECK(hit >= 0 && hit < 100);
  }
  xyz[7] = kNan;
  CHECK_REFUSED(sphmask_ball_query(xyz.data(), xyz.data(), hits.data(), 1, 100, 1, 3, kThreads));
}

// Two sheets, one flat and one upright, that meet at a concave edge; one voxel a point.
struct Corner {
  std::vector<int32_t> coords;
  std::vector<float> xyz, rgb;
  std::vector<int64_t> labels;

  Corner() {
    for (int32_t i = 0; i < 40; ++i)
      for (int32_t j = 0; j < 40; ++j) {
        for (const int32_t c : {i, j, 0}) coords.push_back(c);
        if (j > 0)
          for (const int32_t c : {20, i, j}) coords.push_back(c);
      }
    for (const int32_t c : coords) xyz.push_back(0.02f * float(c));
    rgb.assign(xyz.size(), 0.5f), labels.resize(coords.size() / 3);
  }

  const char* part(float threshold, float convex, float color, int64_t min_voxels, int64_t neighbors,
                   int64_t* count) {
    return sphmask_superpoints(coords.data(), xyz.data(), rgb.data(), labels.data(), threshold, convex, color,
                               min_voxels, neighbors, count, int64_t(labels.size()), kThreads);
  }
};

TEST(superpoints_part_a_corner) {
  Corner corner;
  int64_t count = 0;
  CHECK_FINE(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
  CHECK(count >= 2 && count <= 4);
  int64_t mixed = 0;  // points of the upright sheet that have the label of the flat one
  for (size_t i = 0; i < corner.labels.size(); ++i) {
    CHECK(corner.labels[i] >= 0 && corner.labels[i] < count);
    mixed += corner.coords[3 * i + 2] > 2 && corner.labels[i] == corner.labels[0];
  }
  CHECK(mixed == 0);
}

TEST(superpoints_stay_within_their_arrays_whatever_the_settings) {
  const float strange[] = {kNan, kInfinity, -kInfinity, 3e38f, -1, 0};
  Corner corner;
  int64_t count = 0;
  for (const float value : strange)
    for (int which = 0; which < 3; ++which) {
      const float t = which == 0 ? value : 0.1f, c = which == 1 ? value : 0.1f, s = which == 2 ? value : 0.1f;
      CHECK_FINE(corner.part(t, c, s, 20, 8, &count));
      for (const int64_t label : corner.labels) CHECK(label >= 0 && label < count);
    }
  for (const int64_t neighbors : {INT64_MIN, int64_t{-1}, int64_t{0}, int64_t{21}, INT64_MAX})
    CHECK_REFUSED(corner.part(0.1f, 0.1f, 0, 20, neighbors, &count));
  for (const int64_t least : {INT64_MIN, INT64_MAX}) CHECK_FINE(corner.part(0.1f, 0.1f, 0, least, 8, &count));
}

TEST(superpoints_refuse_strange_voxels) {
  int64_t count = 0;
  for (const float value : {kNan, kInfinity}) {
    Corner corner;
    corner.xyz[100] = value;
    CHECK_REFUSED(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
    corner = Corner();
    corner.rgb[100] = value;
    CHECK_REFUSED(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
  }
  Corner corner;
  corner.coords[3] = INT32_MAX, corner.coords[6] = INT32_MIN;
  CHECK_REFUSED(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
}

TEST(kernels_that_take_long_are_called_off) {
  int32_t flag = 1;
  Corner corner;
  int64_t count = 0;
  std::vector<int64_t> keys(3), inverse(3), first(3);
  CHECK_FINE(sphmask_watch(&flag));
  CHECK_REFUSED(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
  CHECK_REFUSED(sphmask_number_keys(keys.data(), inverse.data(), first.data(), &count, 3));
  flag = 0;
  CHECK_FINE(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
  flag = 1;
  CHECK_FINE(sphmask_watch(nullptr));
  CHECK_FINE(corner.part(0.1f, 0.1f, 0.1f, 20, 8, &count));
}

// For ThreadSanitizer: calls are independent of each other, and a flag may be set while a kernel runs.
TEST(threads_may_call_kernels_at_the_same_time) {
  std::array<Corner, 3> corners;
  std::array<int64_t, 3> counts{};
  int32_t flag = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < corners.size(); ++i)
    threads.emplace_back([&, i] {
      sphmask_watch(i == 0 ? &flag : nullptr);
      const char* const problem = corners[i].part(0.1f, 0.1f, 0.1f, 20, 8, &counts[i]);
      if (i > 0) CHECK_FINE(problem);
    });
  __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
  for (std::thread& thread : threads) thread.join();
  CHECK(corners[1].labels == corners[2].labels && counts[1] == counts[2]);
}

TEST(migration_is_a_small_network_for_each_query) {
  constexpr int64_t queries = 5, superpoints = 203, mask_dim = 10;
  for (const int64_t layers : {2, 3}) {
    Random random(uint32_t(30 + layers));
    std::vector<int64_t> widths = {mask_dim + 6, mask_dim};
    if (layers == 3) widths.push_back(mask_dim / 2);
    widths.push_back(1);
    int64_t count = 0;
    for (size_t i = 0; i + 1 < widths.size(); ++i) count += widths[i] * widths[i + 1];
    const int64_t weights = count;
    for (size_t i = 1; i < widths.size(); ++i) count += widths[i];  // the last bias is not used
    const auto parameters = random.uniforms<float>(queries * count, -1, 1);
    const auto query_xyz = random.uniforms<float>(3 * queries, -1, 1),
               query_sizes = random.uniforms<float>(3 * queries, 0, 1),
               xyz = random.uniforms<float>(3 * superpoints, -1, 1),
               sizes = random.uniforms<float>(3 * superpoints, 0, 1),
               features = random.uniforms<float>(mask_dim * superpoints, -1, 1);
    std::vector<float> migration(queries * superpoints);
    const auto call = [&](int64_t given) {
      return sphmask_migrate(parameters.data(), query_xyz.data(), query_sizes.data(), xyz.data(),
                             sizes.data(), features.data(), migration.data(), layers, queries, given,
                             superpoints, mask_dim, kThreads);
    };
    CHECK_REFUSED(call(count - 1));
    CHECK_FINE(call(count));
    for (int64_t q = 0; q < queries; ++q)
      for (int64_t s = 0; s < superpoints; ++s) {
        std::vector<double> z;
        for (int64_t a = 0; a < 3; ++a) z.push_back(query_xyz[3 * q + a] - xyz[3 * s + a]);
        for (int64_t a = 0; a < 3; ++a) z.push_back(std::abs(query_sizes[3 * q + a] - sizes[3 * s + a]));
        for (int64_t m = 0; m < mask_dim; ++m) z.push_back(features[s * mask_dim + m]);
        const float *weight = parameters.data() + q * count, *bias = weight + weights;
        for (size_t layer = 0; layer + 1 < widths.size(); ++layer) {
          const bool last = layer + 2 == widths.size();
          std::vector<double> next(widths[layer + 1]);
          for (int64_t o = 0; o < widths[layer + 1]; ++o) {
            next[o] = last ? 0 : *bias++;
            for (int64_t i = 0; i < widths[layer]; ++i) next[o] += z[i] * weight[i * widths[layer + 1] + o];
            if (!last) next[o] = std::max(next[o], 0.0);
          }
          weight += widths[layer] * widths[layer + 1], z = next;
        }
        CHECK(std::abs(migration[q * superpoints + s] - z[0]) < 1e-4 * (1 + std::abs(z[0])));
      }
  }
}

TEST(points_are_inside_by_the_ray_of_their_sector) {
  constexpr int64_t polar = 3, azimuth = 4, rays = polar * azimuth, points = 150;
  const double pi = std::acos(-1.0);
  Random random(45);
  const auto xyz = random.uniforms<float>(3 * points, -1, 1), centers = random.uniforms<float>(6, -0.2, 0.2),
             lengths = random.uniforms<float>(2 * rays, 0.2, 2),
             migration = random.uniforms<float>(2 * points, -0.1, 0.1);
  std::vector<uint8_t> inside(2 * points);
  CHECK_FINE(sphmask_inside_polygons(xyz.data(), migration.data(), centers.data(), lengths.data(),
                                     inside.data(), polar, azimuth, 2, points, 2, rays, kThreads));
  for (int64_t q = 0; q < 2; ++q)
    for (int64_t i = 0; i < points; ++i) {
      double offset[3];
      for (int64_t axis = 0; axis < 3; ++axis) offset[axis] = xyz[3 * i + axis] - centers[3 * q + axis];
      const double across = std::hypot(offset[0], offset[1]), distance = std::hypot(across, offset[2]);
      const double down = std::atan2(across, offset[2]) / pi * polar,
                   around = (std::atan2(offset[1], offset[0]) / pi + 1) / 2 * azimuth;
      const int64_t sector = int64_t(down) * azimuth + int64_t(around);
      const double gap = lengths[q * rays + sector] - distance + 2 * migration[q * points + i];
      const bool sure = std::abs(gap) > 1e-5 && std::abs(down - std::round(down)) > 1e-5 &&
                        std::abs(around - std::round(around)) > 1e-5;
      if (sure) CHECK(inside[q * points + i] == (gap >= 0));
    }
  CHECK_REFUSED(sphmask_inside_polygons(xyz.data(), migration.data(), centers.data(), lengths.data(),
                                        inside.data(), polar, azimuth, 2, points, 2, rays + 1, kThreads));
}

}  // namespace
