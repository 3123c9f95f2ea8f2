// SPDX-License-Identifier: Apache-2.0
// The whole sparse U-Net of sphmask_core/method/backbone.py in inference: its maps and its layers, one after
// the other, by the kernels of maps.cpp and conv.cpp. Nothing is computed here but concatenations.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "block.h"
#include "conv.h"
#include "guard.h"
#include "kernels.h"
#include "keys.h"

namespace {

constexpr int64_t kTileRows = 128;  // output rows whose sums stay in the cache while all kernel offsets pass
constexpr int64_t kWindow = 27, kCorners = 8;

// Features of voxels. Nothing is set to zero: who makes them writes them all.
template <typename T>
class Rows {
public:
  Rows(int64_t count, int64_t channels)
      : count_(count), values_(new T[count * row_length(static_cast<T*>(nullptr), channels)]) {}

  int64_t count() const { return count_; }
  T* data() { return values_.get(); }
  const T* data() const { return values_.get(); }

private:
  int64_t count_;
  std::unique_ptr<T[]> values_;
};
using Floats = Rows<float>;

// What a kernel refuses, which the whole then refuses too.
struct Refused {
  const char* problem;
};

void check(const char* problem) {
  if (problem != kFine) throw Refused{problem};
}

// Which input rows an output row reads: index (kernel, rows), and its pairs.
struct Map {
  int64_t kernel, rows;
  std::vector<int32_t> index, source;
  std::vector<int64_t> starts;
  std::vector<uint8_t> target;

  Map(int64_t kernel, int64_t rows) : kernel(kernel), rows(rows), index(kernel * rows) {}

  void list_pairs(int64_t threads) {
    starts.resize((rows + kTileRows - 1) / kTileRows * kernel + 1);
    const auto start_count = static_cast<int64_t>(starts.size());
    check(sphmask_count_pairs(index.data(), starts.data(), kTileRows, kernel, rows, start_count, threads));
    source.resize(starts.back()), target.resize(starts.back());
    check(sphmask_list_pairs(index.data(), starts.data(), source.data(), target.data(), kTileRows, kernel,
                             rows, start_count, starts.back(), threads));
  }
};

// Voxels of one level and the maps of its convolutions; those to the next level once there is one.
struct Level {
  int64_t count;
  std::vector<int32_t> coords;  // (count, 4)
  Map window, self;
  std::unique_ptr<Map> children, parents;

  Level(std::vector<int32_t> all, int64_t threads)
      : count(static_cast<int64_t>(all.size()) / 4),
        coords(std::move(all)),
        window(kWindow, count),
        self(1, count) {
    std::vector<int64_t> keys(count);
    check(sphmask_pack(coords.data(), keys.data(), 0, count));
    check(sphmask_find_neighbors(keys.data(), window.index.data(), count, threads));
    window.list_pairs(threads);
    for (int64_t v = 0; v < count; ++v) self.index[v] = static_cast<int32_t>(v);
    self.list_pairs(threads);
  }

  // The coordinates of the next, coarser level, its voxels in the order of their first children.
  std::vector<int32_t> halve(int64_t threads) {
    std::vector<int64_t> keys(count), parent(count), first(count);
    int64_t coarse = 0;
    check(sphmask_pack(coords.data(), keys.data(), 1, count));
    check(sphmask_number_keys(keys.data(), parent.data(), first.data(), &coarse, count));
    children = std::make_unique<Map>(kCorners, coarse), parents = std::make_unique<Map>(kCorners, count);
    check(sphmask_family(coords.data(), parent.data(), children->index.data(), parents->index.data(), count,
                         coarse));
    children->list_pairs(threads), parents->list_pairs(threads);
    std::vector<int32_t> halved;
    for (int64_t v = 0; v < coarse; ++v) {
      const int32_t* fine = coords.data() + 4 * first[v];
      halved.insert(halved.end(), {fine[0], fine[1] >> 1, fine[2] >> 1, fine[3] >> 1});
    }
    return halved;
  }
};

// A batch norm with fixed statistics.
struct Norm {
  const float *mean, *variance, *weight, *bias;
};

// Numbers that are taken one after the other.
template <typename T>
class Stream {
public:
  Stream(const T* first, int64_t count) : next_(first), end_(first + count) {}

  const T* take(int64_t count) {
    if (end_ - next_ < count) throw Refused{"packed holds less than the layers need"};
    next_ += count;
    return next_ - count;
  }
  bool empty() const { return next_ == end_; }

private:
  const T *next_, *end_;
};

// The weights of all layers, in the order in which they work.
struct Weights {
  Stream<float> norms, floats;
  Stream<Half> halves;
};

// Rows of numbers X are what convolutions read after a norm; all other rows and all sums are of floats.
template <typename X>
class UNet {
public:
  UNet(const Weights& weights, int64_t blocks, double epsilon, int64_t threads)
      : weights_(weights), blocks_(blocks), epsilon_(epsilon), threads_(threads) {}

  Floats run(std::vector<Level>& levels, const Floats& features, int64_t in, int64_t width) {
    Floats x = convolve<float>(features, levels[0].window, in, width);
    x = level(levels, 0, std::move(x), width);
    x = norm_relu<float>(x, norm(width), width);
    if (!weights_.norms.empty() || !weights_.floats.empty() || !weights_.halves.empty())
      throw Refused{"packed holds more than the layers need"};
    return x;
  }

private:
  // Its blocks; below the last level also: down, the next level, up, concatenate, as many blocks.
  Floats level(std::vector<Level>& levels, size_t depth, Floats x, int64_t width) {
    Level& here = levels[depth];
    const int64_t wider = width / static_cast<int64_t>(depth + 1) * static_cast<int64_t>(depth + 2);
    x = blocks(blocks_, std::move(x), here, width);
    if (depth + 1 == levels.size()) return x;
    const Norm down = norm(width);
    Floats coarse = convolve<float>(norm_relu<X>(x, down, width), *here.children, width, wider);
    coarse = level(levels, depth + 1, std::move(coarse), wider);
    const Norm up = norm(wider);
    const Floats fine = convolve<float>(norm_relu<X>(coarse, up, wider), *here.parents, wider, width);
    x = block(concatenate(x, fine, width), here, 2 * width, width);
    return blocks(blocks_ - 1, std::move(x), here, width);
  }

  Floats blocks(int64_t count, Floats x, const Level& level, int64_t width) {
    for (int64_t i = 0; i < count; ++i) x = block(std::move(x), level, width, width);
    return x;
  }

  // BN, ReLU, 3^3, BN, ReLU, 3^3, plus the input (through a 1^3 where the widths differ).
  Floats block(Floats x, const Level& level, int64_t in, int64_t out) {
    const Norm first = norm(in);
    const Rows<X> y = norm_relu<X>(x, first, in);
    const X* weights = kernel<X>(kWindow, in, out);
    const Norm second = norm(out);
    const Rows<X> z = convolve<X>(y, level.window, weights, in, out, nullptr, &second);
    const X* last = kernel<X>(kWindow, out, out);
    const Floats shortcut = in == out ? std::move(x) : convolve<float>(x, level.self, in, out);
    return convolve<float>(z, level.window, last, out, out, shortcut.data(), nullptr);
  }

  template <typename Y, typename A>
  Rows<Y> convolve(const Rows<A>& x, const Map& map, int64_t in, int64_t out) {
    return convolve<Y>(x, map, kernel<A>(map.kernel, in, out), in, out, nullptr, nullptr);
  }

  template <typename Y, typename A>
  Rows<Y> convolve(const Rows<A>& x, const Map& map, const A* weights, int64_t in, int64_t out,
                   const float* start, const Norm* norm) {
    Watch().check();
    Rows<Y> y(map.rows, out);
    const Pairs pairs{map.starts.data(),
                      map.source.data(),
                      map.target.data(),
                      map.rows,
                      map.kernel,
                      kTileRows,
                      static_cast<int64_t>(map.starts.size()),
                      map.starts.back(),
                      x.count()};
    const NormRelu<float> after = norm ? fixed(*norm, out) : NormRelu<float>();
    const Convolution<A, float, Y> work{x.data(), pairs, weights, start, after, y.data(), in, out};
    check(::convolve(work, columns(out) / panel_width(out), panel_width(out), threads_));
    return y;
  }

  template <typename Y>
  Rows<Y> norm_relu(const Floats& x, const Norm& norm, int64_t channels) {
    Rows<Y> y(x.count(), channels);
    normalize(fixed(norm, channels), x.data(), x.count(), channels, y.data(), threads_);
    return y;
  }

  NormRelu<float> fixed(const Norm& norm, int64_t channels) const {
    return {norm.mean, norm.variance, norm.weight, norm.bias, epsilon_, channels};
  }

  static Floats concatenate(const Floats& a, const Floats& b, int64_t width) {
    Floats both(a.count(), 2 * width);
    for (int64_t v = 0; v < a.count(); ++v) {
      std::copy_n(a.data() + v * width, width, both.data() + 2 * v * width);
      std::copy_n(b.data() + v * width, width, both.data() + (2 * v + 1) * width);
    }
    return both;
  }

  static int64_t panel_width(int64_t out) {
    return out % Wide<float>::kWidth == 0 ? Wide<float>::kWidth : Narrow<float>::kWidth;
  }
  static int64_t columns(int64_t out) { return round_up(out, panel_width(out)); }

  // The weights of the convolution that comes next, of rows of numbers A.
  template <typename A>
  const A* kernel(int64_t size, int64_t in, int64_t out) {
    const int64_t count = size * row_length(static_cast<A*>(nullptr), in) * columns(out);
    if constexpr (std::is_same_v<A, Half>)
      return weights_.halves.take(count);
    else
      return weights_.floats.take(count);
  }
  Norm norm(int64_t channels) {
    const float* values = weights_.norms.take(4 * channels);
    return {values, values + channels, values + 2 * channels, values + 3 * channels};
  }

  Weights weights_;
  int64_t blocks_;
  double epsilon_;
  int64_t threads_;
};

}  // namespace

const char* sphmask_unet(const float* features, const int32_t* coords, const float* norms,
                         const float* packed, const int32_t* halves, float* encoded, int64_t levels,
                         int64_t blocks, double epsilon, int64_t n, int64_t in, int64_t norm_count,
                         int64_t packed_count, int64_t pair_count, int64_t channels, int64_t threads) {
  if (n == 0) return kFine;
  return guarded([&]() -> const char* {
    try {
      std::vector<Level> pyramid;
      pyramid.reserve(levels);
      pyramid.emplace_back(std::vector<int32_t>(coords, coords + 4 * n), threads);
      while (static_cast<int64_t>(pyramid.size()) < levels)
        pyramid.emplace_back(pyramid.back().halve(threads), threads);
      const Weights weights{{norms, norm_count},
                            {packed, packed_count},
                            {reinterpret_cast<const Half*>(halves), 2 * pair_count}};
      Floats given(n, in);
      std::copy_n(features, n * in, given.data());
      const Floats x = pair_count > 0
                           ? UNet<Half>(weights, blocks, epsilon, threads).run(pyramid, given, in, channels)
                           : UNet<float>(weights, blocks, epsilon, threads).run(pyramid, given, in, channels);
      std::copy_n(x.data(), n * channels, encoded);
      return kFine;
    } catch (const Refused& refused) {
      return refused.problem;
    }
  });
}
