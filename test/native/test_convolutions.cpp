// SPDX-License-Identifier: Apache-2.0
// Maps of a sparse U-Net and its convolutions against loops that say what they are.

#include <algorithm>
#include <map>

#include "check.h"
#include "kernels.h"
#include "keys.h"

namespace {

constexpr int64_t kSide = 12, kTileRows = 128, kKernel = 27;

// Distinct voxels (n, 4) of a cube, about a third of it, in random order.
std::vector<int32_t> voxels(Random& random, int32_t scene = 1) {
  std::vector<int32_t> coords;
  std::vector<int64_t> cells;
  for (int64_t cell = 0; cell < kSide * kSide * kSide; ++cell)
    if (random.below(3) == 0) cells.insert(cells.begin() + random.below(int64_t(cells.size()) + 1), cell);
  for (const int64_t cell : cells)
    for (const int64_t c : {int64_t{scene}, cell / kSide / kSide, cell / kSide % kSide, cell % kSide})
      coords.push_back(int32_t(c));
  return coords;
}

std::vector<int64_t> keys_of(const std::vector<int32_t>& coords) {
  std::vector<int64_t> keys(coords.size() / 4);
  CHECK_FINE(sphmask_pack(coords.data(), keys.data(), 0, int64_t(keys.size())));
  return keys;
}

std::vector<int32_t> window_of(const std::vector<int32_t>& coords) {
  const auto keys = keys_of(coords);
  std::vector<int32_t> index(kKernel * keys.size());
  CHECK_FINE(sphmask_find_neighbors(keys.data(), index.data(), int64_t(keys.size()), kThreads));
  return index;
}

struct Pairs {
  std::vector<int64_t> starts;
  std::vector<int32_t> source;
  std::vector<uint8_t> target;
};

Pairs pairs_of(const std::vector<int32_t>& index, int64_t rows) {
  Pairs pairs;
  pairs.starts.resize((rows + kTileRows - 1) / kTileRows * kKernel + 1);
  const auto starts = int64_t(pairs.starts.size());
  CHECK_FINE(
      sphmask_count_pairs(index.data(), pairs.starts.data(), kTileRows, kKernel, rows, starts, kThreads));
  pairs.source.resize(pairs.starts.back()), pairs.target.resize(pairs.starts.back());
  CHECK_FINE(sphmask_list_pairs(index.data(), pairs.starts.data(), pairs.source.data(), pairs.target.data(),
                                kTileRows, kKernel, rows, starts, int64_t(pairs.source.size()), kThreads));
  return pairs;
}

TEST(pack_halves_and_refuses) {
  std::vector<int32_t> coords = {511, 262141, 4, 7};
  int64_t key = 0;
  CHECK_FINE(sphmask_pack(coords.data(), &key, 1, 1));
  CHECK(key == pack(511, 131070, 2, 3));
  for (const int32_t strange : {-1, 262142}) {
    coords[2] = strange;
    CHECK_REFUSED(sphmask_pack(coords.data(), &key, 0, 1));
  }
  coords = {512, 0, 0, 0};
  CHECK_REFUSED(sphmask_pack(coords.data(), &key, 0, 1));
}

TEST(keys_are_numbered_by_first_appearance) {
  Random random(11);
  std::vector<int64_t> keys(20000), inverse(keys.size()), first(keys.size());
  for (int64_t& key : keys) key = random.below(9000) * 7919 - 5;
  int64_t count = 0;
  CHECK_FINE(sphmask_number_keys(keys.data(), inverse.data(), first.data(), &count, int64_t(keys.size())));
  std::map<int64_t, int64_t> numbers;
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto found = numbers.emplace(keys[i], int64_t(numbers.size()));
    CHECK(inverse[i] == found.first->second);
    if (found.second) CHECK(first[inverse[i]] == int64_t(i));
  }
  CHECK(count == int64_t(numbers.size()));
}

TEST(neighbors_are_those_of_a_search) {
  Random random(12);
  const auto coords = voxels(random);
  const auto index = window_of(coords);
  const auto rows = int64_t(coords.size() / 4);
  std::map<std::vector<int32_t>, int32_t> place;
  for (int64_t v = 0; v < rows; ++v)
    place[{coords[4 * v + 1], coords[4 * v + 2], coords[4 * v + 3]}] = int32_t(v);
  for (int64_t k = 0; k < kKernel; ++k)
    for (int64_t v = 0; v < rows; ++v) {
      const int32_t* c = coords.data() + 4 * v;
      const auto found =
          place.find({c[1] + int32_t(k / 9) - 1, c[2] + int32_t(k / 3 % 3) - 1, c[3] + int32_t(k % 3) - 1});
      CHECK(index[k * rows + v] == (found == place.end() ? -1 : found->second));
    }
}

TEST(neighbors_refuse_keys_that_are_none) {
  std::vector<int32_t> index(2 * kKernel);
  for (const std::vector<int64_t>& keys :
       {std::vector<int64_t>{5, 5}, {5, -1}, {5, INT64_MAX}, {INT64_MIN, 0}})
    CHECK_REFUSED(sphmask_find_neighbors(keys.data(), index.data(), 2, kThreads));
}

TEST(family_links_children_and_parents) {
  Random random(13);
  const auto coords = voxels(random);
  const auto n = int64_t(coords.size() / 4);
  std::vector<int64_t> keys(n), parent(n), first(n);
  int64_t coarse = 0;
  CHECK_FINE(sphmask_pack(coords.data(), keys.data(), 1, n));
  CHECK_FINE(sphmask_number_keys(keys.data(), parent.data(), first.data(), &coarse, n));
  std::vector<int32_t> children(8 * coarse), parents(8 * n);
  CHECK_FINE(sphmask_family(coords.data(), parent.data(), children.data(), parents.data(), n, coarse));
  for (int64_t v = 0; v < n; ++v) {
    const int32_t* c = coords.data() + 4 * v;
    const int64_t own = (c[1] & 1) * 4 + (c[2] & 1) * 2 + (c[3] & 1);
    CHECK(children[own * coarse + parent[v]] == v);
    for (int64_t corner = 0; corner < 8; ++corner)
      CHECK(parents[corner * n + v] == (corner == own ? parent[v] : -1));
  }
  parent[n / 2] = coarse;
  CHECK_REFUSED(sphmask_family(coords.data(), parent.data(), children.data(), parents.data(), n, coarse));
}

// (K, in, out) -> (K, panels, in, width), as the convolution reads it.
template <typename T>
std::vector<T> packed(const std::vector<T>& weight, int64_t in, int64_t out, int64_t width) {
  const int64_t panels = (out + width - 1) / width;
  std::vector<T> found(kKernel * panels * in * width);
  for (int64_t k = 0; k < kKernel; ++k)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o)
        found[((k * panels + o / width) * in + i) * width + o % width] = weight[(k * in + i) * out + o];
  return found;
}

template <typename T>
struct Functions;

template <>
struct Functions<float> {
  static constexpr auto convolve = sphmask_gather_convolve_f32;
  static constexpr auto gradient = sphmask_weight_gradient_f32;
};

template <>
struct Functions<double> {
  static constexpr auto convolve = sphmask_gather_convolve_f64;
  static constexpr auto gradient = sphmask_weight_gradient_f64;
};

// A convolution of the voxels of a cube, with a start and a norm.
template <typename T>
struct Problem {
  int64_t in, out, width, rows;
  std::vector<int32_t> index;
  Pairs pairs;
  std::vector<T> x, weight, start, mean, variance, scale, bias;

  Problem(int64_t inputs, int64_t outputs, int64_t vectors) : in(inputs), out(outputs) {
    Random random(uint32_t(100 * in + out));
    const auto coords = voxels(random);
    rows = int64_t(coords.size() / 4), width = vectors * 32 / int64_t(sizeof(T));
    index = window_of(coords), pairs = pairs_of(index, rows);
    x = random.uniforms<T>(rows * in, -1, 1), weight = random.uniforms<T>(kKernel * in * out, -1, 1);
    start = random.uniforms<T>(rows * out, -1, 1), mean = random.uniforms<T>(out, -1, 1);
    variance = random.uniforms<T>(out, 0.5, 2), scale = random.uniforms<T>(out, 0.5, 2);
    bias = random.uniforms<T>(out, -1, 1);
  }

  const char* convolve(std::vector<T>& found, bool with_norm) const {
    const auto panels = packed(weight, in, out, width);
    found.assign(rows * out, T(0));
    return Functions<T>::convolve(
        x.data(), pairs.starts.data(), pairs.source.data(), pairs.target.data(), panels.data(), found.data(),
        with_norm ? start.data() : nullptr, with_norm ? mean.data() : nullptr, variance.data(), scale.data(),
        bias.data(), 1e-4, kTileRows, rows, in, int64_t(pairs.starts.size()), int64_t(pairs.source.size()),
        kKernel, (out + width - 1) / width, width, rows, out, kThreads);
  }

  const char* gradient(std::vector<T>& found) const {
    found.assign(kKernel * in * out, T(0));
    return Functions<T>::gradient(x.data(), pairs.starts.data(), pairs.source.data(), pairs.target.data(),
                                  start.data(), found.data(), kTileRows, rows, in,
                                  int64_t(pairs.starts.size()), int64_t(pairs.source.size()), rows, out,
                                  kKernel, kThreads);
  }

  double expected(int64_t v, int64_t o, bool with_norm) const {
    double sum = with_norm ? double(start[v * out + o]) : 0;
    for (int64_t k = 0; k < kKernel; ++k)
      for (int64_t i = 0; i < in && index[k * rows + v] >= 0; ++i)
        sum += double(x[index[k * rows + v] * in + i]) * weight[(k * in + i) * out + o];
    if (!with_norm) return sum;
    return std::max(0.0, (sum - mean[o]) * scale[o] / std::sqrt(variance[o] + 1e-4) + bias[o]);
  }

  double expected_gradient(int64_t k, int64_t i, int64_t o) const {
    double sum = 0;
    for (int64_t v = 0; v < rows; ++v)
      if (index[k * rows + v] >= 0) sum += double(x[index[k * rows + v] * in + i]) * start[v * out + o];
    return sum;
  }
};

template <typename T>
void compare(int64_t in, int64_t out, int64_t vectors, double tolerance) {
  const Problem<T> problem(in, out, vectors);
  std::vector<T> found;
  for (const bool with_norm : {false, true}) {
    CHECK_FINE(problem.convolve(found, with_norm));
    double worst = 0;
    for (int64_t v = 0; v < problem.rows; ++v)
      for (int64_t o = 0; o < out; ++o)
        worst = std::max(worst, std::abs(found[v * out + o] - problem.expected(v, o, with_norm)));
    CHECK(worst < tolerance);
  }
  CHECK_FINE(problem.gradient(found));
  double worst = 0;
  for (int64_t k = 0; k < kKernel; ++k)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t o = 0; o < out; ++o)
        worst = std::max(worst, std::abs(found[(k * in + i) * out + o] - problem.expected_gradient(k, i, o)));
  CHECK(worst < tolerance);
}

TEST(convolutions_are_sums_of_products) {
  compare<float>(6, 16, 2, 2e-4);
  compare<float>(16, 32, 4, 2e-4);
  compare<float>(7, 5, 2, 2e-4);  // a panel that is not full
  compare<double>(5, 24, 2, 1e-12);
  compare<double>(3, 16, 4, 1e-12);
}

TEST(convolutions_refuse_pairs_that_are_none) {
  Problem<float> problem(8, 16, 2);
  std::vector<float> found;
  const auto refused = [&] {
    CHECK_REFUSED(problem.convolve(found, false));
    CHECK_REFUSED(problem.gradient(found));
  };
  const Pairs whole = problem.pairs;
  for (const int64_t strange : {int64_t{-1}, problem.rows, int64_t{INT32_MAX}}) {
    problem.pairs.source[1000] = int32_t(strange);
    refused();
    problem.pairs = whole;
  }
  problem.pairs.target.back() = 255;  // the last tile has fewer rows
  refused();
  problem.pairs = whole;
  for (const int64_t strange : {int64_t{-1}, int64_t(whole.source.size()) + 1, INT64_MAX, INT64_MIN}) {
    problem.pairs.starts[40] = strange;
    refused();
    problem.pairs = whole;
  }
  problem.pairs.starts.pop_back();
  refused();
  CHECK_REFUSED(sphmask_list_pairs(problem.index.data(), whole.starts.data(), problem.pairs.source.data(),
                                   problem.pairs.target.data(), kTileRows, kKernel, problem.rows,
                                   int64_t(whole.starts.size()), int64_t(whole.source.size()) - 1, kThreads));
  problem.pairs = whole, problem.width = 12;
  CHECK_REFUSED(problem.convolve(found, false));
}

TEST(norm_relu_is_scale_shift_and_clip) {
  Random random(14);
  constexpr int64_t rows = 3000, channels = 17;
  const auto x = random.uniforms<float>(rows * channels, -1, 1),
             mean = random.uniforms<float>(channels, -1, 1),
             variance = random.uniforms<float>(channels, 0.5, 2),
             scale = random.uniforms<float>(channels, 0.5, 2), bias = random.uniforms<float>(channels, -1, 1);
  std::vector<float> changed(rows * channels);
  CHECK_FINE(sphmask_norm_relu(x.data(), mean.data(), variance.data(), scale.data(), bias.data(),
                               changed.data(), 1e-4, rows, channels, kThreads));
  for (int64_t i = 0; i < rows * channels; ++i) {
    const int64_t c = i % channels;
    const double value = (x[i] - mean[c]) * scale[c] / std::sqrt(variance[c] + 1e-4) + bias[c];
    CHECK(std::abs(changed[i] - std::max(value, 0.0)) < 1e-5);
  }
}

}  // namespace
