// SPDX-License-Identifier: Apache-2.0
// Points and voxels: turning, keys, means and bounds of segments, labels, LZF, and what training changes.

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "check.h"
#include "kernels.h"
#include "keys.h"

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kCount = 1001;

std::vector<int64_t> all_rows() {
  std::vector<int64_t> rows(kCount);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

TEST(turn_is_rotation_after_shift) {
  Random random(1);
  const auto points = random.uniforms<float>(3 * kCount, -2, 2), rotation = random.uniforms<float>(9, -1, 1),
             origin = random.uniforms<float>(3, -1, 1);
  std::vector<float> turned(3 * kCount);
  CHECK_FINE(sphmask_turn(points.data(), rotation.data(), origin.data(), turned.data(), kCount, kThreads));
  for (int64_t i = 0; i < kCount; ++i)
    for (int64_t axis = 0; axis < 3; ++axis) {
      double sum = 0;
      for (int64_t j = 0; j < 3; ++j) sum += double(rotation[3 * axis + j]) * (points[3 * i + j] - origin[j]);
      CHECK(std::abs(turned[3 * i + axis] - sum) < 1e-5);
    }
}

TEST(voxel_keys_are_packed_cells) {
  Random random(2);
  const float scale = 50;
  const auto xyz = random.uniforms<float>(3 * kCount, -2, 2);
  float low[3] = {xyz[0] * scale, xyz[1] * scale, xyz[2] * scale}, longest = 0, extent = 0;
  for (int64_t i = 0; i < 3 * kCount; ++i) low[i % 3] = std::min(low[i % 3], xyz[i] * scale);
  for (int64_t i = 0; i < 3 * kCount; ++i) longest = std::max(longest, xyz[i] * scale - low[i % 3]);
  std::vector<int64_t> keys(kCount);
  CHECK_FINE(sphmask_voxel_keys(xyz.data(), keys.data(), scale, 3, 1000, &extent, kCount, kThreads));
  CHECK(extent == longest);
  for (int64_t i = 0; i < kCount; ++i) {
    int64_t cell[3];
    for (int64_t axis = 0; axis < 3; ++axis) cell[axis] = int64_t(xyz[3 * i + axis] * scale - low[axis]);
    CHECK(keys[i] == pack(3, cell[0], cell[1], cell[2]));
  }
}

TEST(voxel_keys_of_a_cloud_that_is_not_finite_have_no_extent) {
  std::vector<float> xyz = {0, 0, 0, 1, kNan, 1};
  std::vector<int64_t> keys(2);
  float extent = 0;
  CHECK_FINE(sphmask_voxel_keys(xyz.data(), keys.data(), 1, 0, 1000, &extent, 2, kThreads));
  CHECK(std::isnan(extent));
}

TEST(segments_have_means_and_bounds) {
  Random random(3);
  constexpr int64_t count = 7, channels = 3;
  const auto values = random.uniforms<float>(channels * kCount, -1, 1);
  std::vector<int64_t> segments(kCount), sizes(count);
  for (int64_t& segment : segments) segment = random.below(count - 1);  // the last one stays empty
  std::vector<float> mean(count * channels), bounds(count * 6);
  CHECK_FINE(sphmask_segment_mean(values.data(), segments.data(), mean.data(), sizes.data(), kCount, channels,
                                  count));
  const auto rows = all_rows();
  CHECK_FINE(sphmask_segment_bounds(values.data(), rows.data(), segments.data(), bounds.data(), kCount,
                                    kCount, count, kThreads));
  for (int64_t s = 0; s < count; ++s)
    for (int64_t c = 0; c < channels; ++c) {
      double sum = 0;
      float low = std::numeric_limits<float>::infinity(), high = -low;
      int64_t size = 0;
      for (int64_t i = 0; i < kCount; ++i) {
        if (segments[i] != s) continue;
        const float value = values[channels * i + c];
        sum += value, low = std::min(low, value), high = std::max(high, value), ++size;
      }
      CHECK(sizes[s] == size);
      CHECK(std::abs(mean[s * channels + c] - sum / std::max<int64_t>(size, 1)) < 1e-5);
      CHECK(bounds[6 * s + c] == low && bounds[6 * s + 3 + c] == high);
    }
  for (const int64_t strange : {int64_t{-1}, count, std::numeric_limits<int64_t>::min()}) {
    segments[kCount / 2] = strange;
    CHECK_REFUSED(sphmask_segment_mean(values.data(), segments.data(), mean.data(), sizes.data(), kCount,
                                       channels, count));
    CHECK_REFUSED(sphmask_segment_bounds(values.data(), rows.data(), segments.data(), bounds.data(), kCount,
                                         kCount, count, kThreads));
  }
}

TEST(segments_of_some_points_are_spread_over_all) {
  const std::vector<int64_t> rows = {4, 1}, segments = {0, 1}, strange = {0, 5};
  const std::vector<int32_t> labels_of = {7, 0};
  std::vector<int64_t> all(5);
  std::vector<int32_t> labels(5);
  CHECK_FINE(sphmask_spread_segments(rows.data(), segments.data(), labels_of.data(), all.data(),
                                     labels.data(), 2, 2, 5, kThreads));
  CHECK((all == std::vector<int64_t>{2, 1, 2, 2, 0}) && (labels == std::vector<int32_t>{0, 0, 0, 0, 7}));
  for (const auto& [of, numbers] : {std::pair{&strange, &segments}, std::pair{&rows, &strange}})
    CHECK_REFUSED(sphmask_spread_segments(of->data(), numbers->data(), labels_of.data(), all.data(),
                                          labels.data(), 2, 2, 5, kThreads));
}

TEST(points_have_a_mean) {
  Random random(5);
  std::vector<double> mean(3, 1);
  CHECK_FINE(sphmask_mean_point(nullptr, mean.data(), 0));
  CHECK(mean[0] == 0 && mean[1] == 0 && mean[2] == 0);
  for (const int64_t count : {1, 3, 4, 7, 1001}) {
    const auto xyz = random.uniforms<float>(3 * count, -5, 9);
    CHECK_FINE(sphmask_mean_point(xyz.data(), mean.data(), count));
    for (int64_t axis = 0; axis < 3; ++axis) {
      double sum = 0;
      for (int64_t i = 0; i < count; ++i) sum += xyz[3 * i + axis];
      CHECK(std::abs(mean[axis] - sum / double(count)) < 1e-12);
    }
  }
}

TEST(colors_are_picked_about_the_middle) {
  const std::vector<uint8_t> rgb = {0, 255, 51, 102, 204, 153};
  std::vector<int64_t> rows = {1, 0, 1};
  std::vector<float> colors(9);
  CHECK_FINE(sphmask_pick_colors(rgb.data(), rows.data(), colors.data(), 127.5f, 2, 3, kThreads));
  CHECK(colors[3] == -1 && colors[4] == 1 && colors[0] == colors[6] && colors[0] == 102 / 127.5f - 1);
  for (const int64_t strange : {2, -1}) {
    rows[1] = strange;
    CHECK_REFUSED(sphmask_pick_colors(rgb.data(), rows.data(), colors.data(), 127.5f, 2, 3, kThreads));
  }
}

TEST(labelled_points_carry_the_values_of_their_label) {
  const std::vector<float> xyz = {1, 2, 3, 4, 5, 6};
  std::vector<int32_t> labels = {1, 0};
  const std::vector<uint32_t> values = {10, 11, 12, 13, 20, 21, 22, 23};
  const std::vector<uint8_t> rgb = {1, 2, 3, 4, 5, 6};
  std::vector<uint32_t> points(14);
  CHECK_FINE(sphmask_label_points(xyz.data(), labels.data(), values.data(), points.data(), rgb.data(), 2, 2,
                                  kThreads));
  CHECK(std::memcmp(points.data(), xyz.data(), 12) == 0);
  CHECK(std::memcmp(points.data() + 3, values.data() + 4, 16) == 0);
  CHECK(points[10] == 0x040506 && points[11] == 11);
  labels[1] = 2;
  CHECK_REFUSED(
      sphmask_label_points(xyz.data(), labels.data(), values.data(), points.data(), nullptr, 2, 2, kThreads));
}

template <typename Number>
std::vector<uint8_t> message_of(const std::vector<Number>& numbers, uint32_t color, int64_t step) {
  std::vector<uint8_t> data(numbers.size() / 3 * step);
  for (size_t i = 0; i < numbers.size() / 3; ++i) {
    std::memcpy(data.data() + i * step, &color, 4);
    std::memcpy(data.data() + i * step + 4, numbers.data() + 3 * i, 3 * sizeof(Number));
  }
  return data;
}

TEST(points_of_a_message_are_placed_or_not) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> numbers = {1, 2, 3, 0, 0, 0, 4, nan, 5, 0, 0, 6};
  const std::vector<uint8_t> data = message_of(numbers, 0x7F010203, 20);
  const std::vector<int64_t> offsets = {4, 8, 12, 0};
  std::vector<float> xyz(12);
  std::vector<uint8_t> rgb(12);
  int64_t placed = 0;
  const auto read = [&](int64_t columns, int64_t row_step, int64_t size, int64_t n) {
    return sphmask_read_points(data.data(), offsets.data(), xyz.data(), rgb.data(), 0, columns, row_step, 20,
                               &placed, size, n, kThreads);
  };
  CHECK_FINE(read(2, 40, 80, 4));
  CHECK(placed == 2);
  CHECK(xyz[0] == 1 && xyz[1] == 2 && xyz[2] == 3 && xyz[9] == 0 && xyz[11] == 6);
  for (int i = 3; i < 9; ++i) CHECK(std::isnan(xyz[i]));
  for (int i = 0; i < 12; ++i) CHECK(rgb[i] == 1 + i % 3);
  CHECK_FINE(read(1, 40, 80, 2));
  CHECK(xyz[0] == 1 && std::isnan(xyz[3]) && placed == 1);
  CHECK_REFUSED(read(2, 40, 79, 4));
  CHECK_REFUSED(read(2, 39, 80, 4));
  CHECK_REFUSED(read(3, 60, 80, 4));
}

TEST(doubles_of_a_message_are_read_as_floats) {
  const std::vector<double> numbers = {1.5, -2, 3, 1e39, 0, 0};
  const std::vector<uint8_t> data = message_of(numbers, 0, 28);
  std::vector<int64_t> offsets = {4, 12, 20, 0};
  std::vector<float> xyz(6);
  int64_t placed = 0;
  const auto read = [&] {
    return sphmask_read_points(data.data(), offsets.data(), xyz.data(), nullptr, 1, 2, 56, 28, &placed, 56, 2,
                               kThreads);
  };
  CHECK_FINE(read());
  CHECK(xyz[0] == 1.5f && xyz[1] == -2 && xyz[2] == 3 && std::isnan(xyz[3]) && placed == 1);
  offsets[2] = 21;
  CHECK_REFUSED(read());
  offsets[2] = -1;
  CHECK_REFUSED(read());
}

TEST(affine_is_matrix_and_shift) {
  const std::vector<float> rows = {1, 2, 3}, matrix = {0, 1, 0, 0, 0, 2, 1, 0, 0}, shift = {10, 20, 30};
  std::vector<float> changed(3);
  CHECK_FINE(sphmask_affine(rows.data(), matrix.data(), shift.data(), changed.data(), 1));
  CHECK(changed == std::vector<float>({12, 26, 31}));
}

TEST(elastic_is_trilinear) {
  Random random(4);
  const int64_t nodes[3] = {4, 5, 6};
  std::vector<float> noise;
  for (int64_t x = 0; x < nodes[0]; ++x)  // a linear field, which trilinear interpolation gives back
    for (int64_t y = 0; y < nodes[1]; ++y)
      for (int64_t z = 0; z < nodes[2]; ++z)
        for (int64_t axis = 0; axis < 3; ++axis) noise.push_back(float(x + 2 * y + 3 * z + axis));
  const std::vector<float> low = {-1, 0, 1};
  std::vector<float> xyz, moved(3 * kCount);
  for (int64_t i = 0; i < kCount; ++i)
    for (int64_t axis = 0; axis < 3; ++axis)
      xyz.push_back(low[axis] + float(random.uniform(0, 0.5 * (nodes[axis] - 2.01))));
  const auto call = [&](float spacing) {
    return sphmask_elastic(xyz.data(), low.data(), noise.data(), moved.data(), spacing, 0.1f, kCount,
                           nodes[0], nodes[1], nodes[2]);
  };
  CHECK_FINE(call(0.5f));
  for (int64_t i = 0; i < kCount; ++i)
    for (int64_t axis = 0; axis < 3; ++axis) {
      double field = double(axis);
      for (int64_t j = 0; j < 3; ++j) field += double(j + 1) * ((xyz[3 * i + j] - low[j]) / 0.5 + 1);
      CHECK(std::abs(moved[3 * i + axis] - (xyz[3 * i + axis] + 0.1 * field)) < 1e-4);
    }
  CHECK_REFUSED(call(0.01f));  // the points lie beyond the nodes
  xyz[5] = kNan;
  CHECK_REFUSED(call(0.5f));
}

TEST(lzf_repeats_and_refuses) {
  const std::vector<uint8_t> packed = {2, 'a', 'b', 'c', 2 << 5, 2, 0, 'd'};  // abc, four from three back, d
  std::vector<uint8_t> unpacked(8);
  int64_t written = 0;
  CHECK_FINE(sphmask_lzf_decompress(packed.data(), unpacked.data(), &written, 8, 8));
  CHECK(written == 8 && std::memcmp(unpacked.data(), "abcabcad", 8) == 0);
  CHECK_FINE(sphmask_lzf_decompress(packed.data(), unpacked.data(), &written, 8, 7));
  CHECK(written == -1);
  Random random(5);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint8_t> garbage(random.below(40));
    for (uint8_t& byte : garbage) byte = static_cast<uint8_t>(random.below(256));
    CHECK_FINE(sphmask_lzf_decompress(garbage.data(), unpacked.data(), &written, int64_t(garbage.size()), 8));
    CHECK(written >= -1 && written <= 8);
  }
}

TEST(upright_boxes_are_the_rectangles_that_points_fill) {
  Random random(9);
  const double yaw = 0.4, axes[9] = {0, 0, 1, 1, 0, 0, 0, 1, 0};  // y is up
  const double along[2] = {std::cos(yaw), std::sin(yaw)}, across[2] = {-along[1], along[0]};
  std::vector<float> points;
  const std::vector<int64_t> starts{0, kCount, kCount + 1};
  for (int64_t i = 0; i < kCount; ++i) {
    const bool corner = i < 8;
    const double a = corner ? (i & 1) * 2 - 1 : random.uniform(-1, 1),
                 b = corner ? (i & 2) - 1 : random.uniform(-1, 1),
                 c = corner ? (i & 4) / 2 - 1 : random.uniform(-1, 1);
    const double first = 5 + a * 0.3 * along[0] + b * 0.1 * across[0],
                 second = a * 0.3 * along[1] + b * 0.1 * across[1];
    points.insert(points.end(), {float(second), float(c * 0.2), float(first)});
  }
  points.insert(points.end(), {1, 2, 3});
  std::vector<double> middles(6), sizes(6), turns(8);
  const auto boxes = [&](const std::vector<int64_t>& from, int64_t n) {
    return sphmask_upright_boxes(points.data(), from.data(), axes, middles.data(), sizes.data(), turns.data(),
                                 n, static_cast<int64_t>(from.size()), 2);
  };
  CHECK_FINE(boxes(starts, kCount + 1));
  const double middle[6] = {5, 0, 0, 3, 1, 2}, size[6] = {0.6, 0.2, 0.4, 0, 0, 0};
  for (int k = 0; k < 6; ++k) CHECK(std::abs(middles[k] - middle[k]) < 1e-5);
  for (int k = 0; k < 6; ++k) CHECK(std::abs(sizes[k] - size[k]) < 1e-5);
  CHECK(std::abs(turns[0] * along[0] + turns[2] * along[1]) > 0.9999);
  CHECK_REFUSED(boxes({0, kCount}, kCount + 1));
  CHECK_REFUSED(boxes({0, 0, kCount + 1}, kCount + 1));
  CHECK_REFUSED(boxes({0, kCount + 1, kCount}, kCount));
  CHECK_REFUSED(boxes({0, 1, kCount}, kCount + 1));
  points[7] = kNan;
  CHECK_REFUSED(boxes(starts, kCount + 1));
}

}  // namespace
