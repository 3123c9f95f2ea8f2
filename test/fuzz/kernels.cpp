// SPDX-License-Identifier: Apache-2.0
// Coverage-guided fuzzing by libFuzzer: numbers of any value in arrays of the sizes that are told. No kernel
// may touch what lies beyond them; its answer does not matter. Sizes and scalars are in the ranges that
// kernels.py allows.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels.h"

namespace {

// Takes what a kernel is given from the fuzzer's bytes; zeros when these are used up.
class Bytes {
public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  template <typename T>
  T value() {
    T taken{};
    const size_t count = std::min(sizeof(T), size_);
    std::memcpy(&taken, data_, count);
    data_ += count;
    size_ -= count;
    return taken;
  }

  int64_t between(int64_t low, int64_t high) { return low + value<uint16_t>() % (high - low + 1); }

  // An array of exactly so many elements, on the heap: its ends are guarded.
  template <typename T>
  std::vector<T> array(int64_t count) {
    std::vector<T> taken(static_cast<size_t>(count));
    for (T& element : taken) element = value<T>();
    taken.shrink_to_fit();
    return taken;
  }

  std::vector<uint8_t> rest() { return array<uint8_t>(static_cast<int64_t>(size_)); }

private:
  const uint8_t* data_;
  size_t size_;
};

constexpr int64_t kThreads = 1, kMostPoints = 64, kMostLabels = 16;

void lzf(Bytes bytes) {
  std::vector<uint8_t> unpacked(bytes.between(0, 4096));
  const std::vector<uint8_t> packed = bytes.rest();
  int64_t written = 0;
  sphmask_lzf_decompress(packed.data(), unpacked.data(), &written, packed.size(), unpacked.size());
}

void label(Bytes bytes) {
  const int64_t n = bytes.between(0, kMostPoints), objects = bytes.between(1, kMostLabels);
  const auto labels = bytes.array<int32_t>(n);
  const auto xyz = bytes.array<float>(3 * n);
  const auto rgb = bytes.array<uint8_t>(3 * n);
  const auto values = bytes.array<uint32_t>(4 * objects);
  std::vector<uint32_t> points(7 * n);
  sphmask_label_points(xyz.data(), labels.data(), values.data(), points.data(), rgb.data(), n, objects,
                       kThreads);
}

void segments(Bytes bytes) {
  const int64_t n = bytes.between(0, kMostPoints), count = bytes.between(0, kMostLabels);
  const auto numbers = bytes.array<int64_t>(n);
  const auto xyz = bytes.array<float>(3 * n);
  std::vector<float> mean(3 * count), bounds(6 * count);
  std::vector<int64_t> sizes(count);
  sphmask_segment_mean(xyz.data(), numbers.data(), mean.data(), sizes.data(), n, 3, count);
  const auto rows = bytes.array<int64_t>(n), labels_of = bytes.array<int64_t>(count);
  sphmask_segment_bounds(xyz.data(), rows.data(), numbers.data(), bounds.data(), n, n, count, kThreads);
  std::vector<int64_t> all(n);
  std::vector<int32_t> labels(n);
  const std::vector<int32_t> narrow(labels_of.begin(), labels_of.end());
  sphmask_spread_segments(rows.data(), numbers.data(), narrow.data(), all.data(), labels.data(), n, count, n,
                          kThreads);
}

void colors(Bytes bytes) {
  const int64_t n = bytes.between(0, kMostPoints), picked = bytes.between(0, kMostPoints);
  const auto rgb = bytes.array<uint8_t>(3 * n);
  const auto rows = bytes.array<int64_t>(picked);
  std::vector<float> made(3 * picked);
  sphmask_pick_colors(rgb.data(), rows.data(), made.data(), 127.5f, n, picked, kThreads);
}

void polygons(Bytes bytes) {
  const int64_t n = bytes.between(0, kMostPoints), queries = bytes.between(0, 8), polar = bytes.between(1, 6),
                azimuth = bytes.between(1, 6), rays = bytes.between(0, 36);
  const float factor = bytes.value<float>();
  const auto xyz = bytes.array<float>(3 * n), migration = bytes.array<float>(queries * n),
             centers = bytes.array<float>(3 * queries), lengths = bytes.array<float>(queries * rays);
  std::vector<uint8_t> inside(queries * n);
  sphmask_inside_polygons(xyz.data(), migration.data(), centers.data(), lengths.data(), inside.data(), polar,
                          azimuth, factor, n, queries, rays, kThreads);
}

void floors(Bytes bytes) {
  const int64_t n = bytes.between(0, kMostPoints), chosen = bytes.between(0, kMostPoints);
  const double flat = bytes.value<double>(), band = bytes.value<double>();
  auto plane = bytes.array<double>(3);
  const auto xyz = bytes.array<float>(3 * n);
  std::vector<double> normals(3 * chosen);
  std::vector<uint8_t> marks(n);
  int64_t count = 0;
  sphmask_surface_normals(xyz.data(), normals.data(), bytes.between(0, 70), flat, &count, n, chosen,
                          kThreads);
  sphmask_fit_level(xyz.data(), plane.data(), band, &count, n);
  sphmask_near_level(xyz.data(), plane.data(), marks.data(), band, flat, n, kThreads);
  sphmask_mean_point(xyz.data(), plane.data(), n);
}

void voxels(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints);
  const float scale = std::max(bytes.value<float>(), 0.0f);
  const auto xyz = bytes.array<float>(3 * n);
  std::vector<int64_t> keys(n), inverse(n), first(n);
  std::vector<int32_t> neighbors(27 * n);
  float extent = 0;
  int64_t count = 0;
  if (sphmask_voxel_keys(xyz.data(), keys.data(), scale, 0, (1 << 18) - 3, &extent, n, kThreads)) return;
  sphmask_number_keys(keys.data(), inverse.data(), first.data(), &count, n);
}

void maps(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints), coarse = bytes.between(1, kMostLabels);
  const auto coords = bytes.array<int32_t>(4 * n);
  const auto parent = bytes.array<int64_t>(n);
  std::vector<int32_t> children(8 * coarse), parents(8 * n), neighbors(27 * n);
  std::vector<int64_t> keys(n);
  sphmask_family(coords.data(), parent.data(), children.data(), parents.data(), n, coarse);
  if (sphmask_pack(coords.data(), keys.data(), 0, n)) return;
  sphmask_find_neighbors(keys.data(), neighbors.data(), n, kThreads);
}

// Tables of pairs that nobody made: a convolution by them must not follow them anywhere.
void convolution(Bytes bytes) {
  const int64_t rows = bytes.between(1, kMostPoints), inputs = bytes.between(1, kMostPoints);
  const int64_t tile_rows = bytes.between(1, 256), kernel = bytes.between(1, 27),
                pairs = bytes.between(0, 256);
  const int64_t start_count = (rows + tile_rows - 1) / tile_rows * kernel + bytes.between(0, 2);
  const int64_t in = bytes.between(1, 9), out = bytes.between(1, 33), width = bytes.between(0, 1) ? 16 : 32;
  const int64_t panels = (out + width - 1) / width;
  const auto starts = bytes.array<int64_t>(start_count);
  const auto source = bytes.array<int32_t>(pairs);
  const auto target = bytes.array<uint8_t>(pairs);
  const auto x = bytes.array<float>(inputs * in), packed = bytes.array<float>(kernel * panels * in * width);
  std::vector<float> convolved(rows * out), grad(rows * out), weight_grad(kernel * in * out);
  sphmask_gather_convolve_f32(x.data(), starts.data(), source.data(), target.data(), packed.data(),
                              convolved.data(), nullptr, nullptr, nullptr, nullptr, nullptr, 1e-4, tile_rows,
                              inputs, in, start_count, pairs, kernel, panels, width, rows, out, kThreads);
  sphmask_weight_gradient_f32(x.data(), starts.data(), source.data(), target.data(), grad.data(),
                              weight_grad.data(), tile_rows, inputs, in, start_count, pairs, rows, out,
                              kernel, kThreads);
}

void pairs(Bytes bytes) {
  const int64_t rows = bytes.between(1, kMostPoints), kernel = bytes.between(1, 27);
  const int64_t tile_rows = bytes.between(1, 256), pairs = bytes.between(0, 256);
  const int64_t start_count = (rows + tile_rows - 1) / tile_rows * kernel + bytes.between(0, 2);
  const auto index = bytes.array<int32_t>(kernel * rows);
  auto starts = bytes.array<int64_t>(start_count);
  std::vector<int32_t> source(pairs);
  std::vector<uint8_t> target(pairs);
  sphmask_list_pairs(index.data(), starts.data(), source.data(), target.data(), tile_rows, kernel, rows,
                     start_count, pairs, kThreads);
  sphmask_count_pairs(index.data(), starts.data(), tile_rows, kernel, rows, start_count, kThreads);
}

void superpoints(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints), min_voxels = bytes.between(1, 100);
  const int64_t neighbors = bytes.between(1, 20);
  const float threshold = bytes.value<float>(), convex = bytes.value<float>(), color = bytes.value<float>();
  const auto coords = bytes.array<int32_t>(3 * n);
  const auto xyz = bytes.array<float>(3 * n), rgb = bytes.array<float>(3 * n);
  std::vector<int64_t> labels(n);
  int64_t count = 0;
  sphmask_superpoints(coords.data(), xyz.data(), rgb.data(), labels.data(), threshold, convex, color,
                      min_voxels, neighbors, &count, n, kThreads);
}

void sampling(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints), picks = bytes.between(1, kMostPoints);
  const int64_t first = bytes.value<int64_t>(), k = bytes.between(1, 16);
  const float radius = bytes.value<float>();
  const auto xyz = bytes.array<float>(3 * n), queries = bytes.array<float>(3 * picks);
  const auto skip = bytes.array<uint8_t>(n);
  std::vector<int64_t> picked(picks), hits(picks * k);
  sphmask_farthest_points(xyz.data(), picked.data(), skip.data(), first, n, picks);
  sphmask_ball_query(xyz.data(), queries.data(), hits.data(), radius, n, picks, k, kThreads);
}

void planes(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints), most = bytes.between(1, 4);
  const auto xyz = bytes.array<float>(3 * n), tolerance = bytes.array<float>(n);
  std::vector<float> patches(25 * most);
  std::vector<uint8_t> seen(48 * 48 * most);
  int64_t count = 0;
  sphmask_planes(xyz.data(), tolerance.data(), patches.data(), seen.data(), bytes.between(3, 40), &count, n,
                 most);
}

void surface_fit(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints);
  const auto xyz = bytes.array<float>(3 * n), tolerance = bytes.array<float>(n),
             plane = bytes.array<float>(13);
  const auto seen = bytes.array<uint8_t>(48 * 48);
  std::vector<double> fit(15);
  sphmask_fit_surface(xyz.data(), tolerance.data(), plane.data(), seen.data(), fit.data(), n);
}

void surfaces(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints), count = bytes.between(0, 24);
  const auto xyz = bytes.array<float>(3 * n), values = bytes.array<float>(33 * count);
  const auto covered = bytes.array<uint8_t>(52 * 52 * count);
  std::vector<uint8_t> marks(n);
  sphmask_on_surfaces(xyz.data(), values.data(), covered.data(), marks.data(), kThreads, n, count);
}

void ground(Bytes bytes) {
  const int64_t n = bytes.between(1, kMostPoints), cells = bytes.between(0, 12);
  const auto xyz = bytes.array<float>(3 * n);
  const double x = bytes.value<double>(), y = bytes.value<double>(), edge = bytes.value<double>();
  std::vector<double> heights(cells * cells);
  std::vector<uint8_t> marks(n);
  sphmask_lowest(xyz.data(), heights.data(), x, y, edge, n, cells);
  sphmask_spread(heights.data(), bytes.value<double>(), bytes.between(0, 4), cells);
  heights = bytes.array<double>(cells * cells);
  sphmask_below_heights(xyz.data(), heights.data(), marks.data(), x, y, edge, bytes.value<double>(), n, cells,
                        kThreads);
}

void boxes(Bytes bytes) {
  const int64_t n = bytes.between(0, 2 * kMostPoints), count = bytes.between(0, 8);
  const auto points = bytes.array<float>(3 * n);
  const auto starts = bytes.array<int64_t>(count + 1);
  const auto axes = bytes.array<double>(9);
  std::vector<double> middles(3 * count), sizes(3 * count), turns(4 * count);
  const std::vector<int64_t> whole{0, n};
  sphmask_upright_boxes(points.data(), starts.data(), axes.data(), middles.data(), sizes.data(), turns.data(),
                        n, count + 1, count);
  if (count > 0)
    sphmask_upright_boxes(points.data(), whole.data(), axes.data(), middles.data(), sizes.data(),
                          turns.data(), n, 2, 1);
}

void message(Bytes bytes) {
  const int64_t rows = bytes.between(0, 8), columns = bytes.between(1, 8), wide = bytes.between(0, 1);
  const int64_t step = bytes.between(0, 40), row_step = bytes.between(0, 400);
  std::vector<int64_t> offsets;
  for (int field = 0; field < 4; ++field) offsets.push_back(bytes.between(0, 48) - 4);
  const auto data = bytes.rest();
  std::vector<float> xyz(rows * columns * 3);
  std::vector<uint8_t> rgb(rows * columns * 3);
  int64_t placed = 0;
  sphmask_read_points(data.data(), offsets.data(), xyz.data(), rgb.data(), wide, columns, row_step, step,
                      &placed, data.size(), rows * columns, kThreads);
}

void depth(Bytes bytes) {
  const int64_t height = bytes.between(0, 8), width = bytes.between(0, 8), size = bytes.between(0, 1) ? 2 : 4;
  const int64_t rows = bytes.between(1, 8), columns = bytes.between(1, 8), registered = bytes.between(0, 1);
  const double unit = bytes.value<double>();
  const auto image = bytes.array<uint8_t>(height * width * size);
  const auto color = bytes.array<uint8_t>(rows * columns * 3);
  const auto cameras = bytes.array<double>(8), pose = bytes.array<double>(12);
  std::vector<float> xyz(height * width * 3);
  std::vector<uint8_t> rgb(height * width * 3);
  sphmask_back_project(image.data(), cameras.data(), color.data(), pose.data(), xyz.data(), rgb.data(), unit,
                       registered, 128, height, width, size, rows, columns, kThreads);
}

void (*const kKernels[])(Bytes) = {
    lzf,         label,    segments, voxels,  maps,   convolution, pairs,    superpoints, sampling, planes,
    surface_fit, surfaces, depth,    message, ground, colors,      polygons, floors,      boxes};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  kKernels[data[0] % (sizeof kKernels / sizeof *kKernels)](Bytes(data + 1, size - 1));
  return 0;
}
