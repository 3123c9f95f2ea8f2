// SPDX-License-Identifier: Apache-2.0
// The whole sparse U-Net of sphmask_core/method/backbone.py in inference: its maps and its layers, one after
// the other, by the kernels of maps.cpp and conv.cpp. Nothing is computed here but concatenations.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "block.h"
#include "guard.h"
#include "kernels.h"
#include "keys.h"

namespace {

constexpr int64_t kTileRows = 128;  // output rows whose sums stay in the cache while all kernel offsets pass
constexpr int64_t kWindow = 27, kCorners = 8;

// Features of voxels. Nothing is set to zero: who makes them writes them all.
class Rows {
public:
  explicit Rows(int64_t size) : size_(size), values_(new float[size]) {}

  int64_t size() const { return size_; }
  float* data() { return values_.get(); }
  const float* data() const { return values_.get(); }

private:
  int64_t size_;
  std::unique_ptr<float[]> values_;
};

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

class UNet {
public:
  UNet(const float* packed, int64_t count, int64_t blocks, double epsilon, int64_t threads)
      : next_(packed), end_(packed + count), blocks_(blocks), epsilon_(epsilon), threads_(threads) {}

  Rows run(std::vector<Level>& levels, const Rows& features, int64_t in, int64_t width) {
    Rows x = convolve(features, levels[0].window, in, width);
    x = level(levels, 0, std::move(x), width);
    x = norm_relu(x, norm(width), width);
    if (next_ != end_) throw Refused{"packed holds more than the layers need"};
    return x;
  }

private:
  // Its blocks; below the last level also: down, the next level, up, concatenate, as many blocks.
  Rows level(std::vector<Level>& levels, size_t depth, Rows x, int64_t width) {
    Level& here = levels[depth];
    const int64_t wider = width / static_cast<int64_t>(depth + 1) * static_cast<int64_t>(depth + 2);
    x = blocks(blocks_, std::move(x), here, width);
    if (depth + 1 == levels.size()) return x;
    const Norm down = norm(width);
    Rows coarse = convolve(norm_relu(x, down, width), *here.children, width, wider);
    coarse = level(levels, depth + 1, std::move(coarse), wider);
    const Norm up = norm(wider);
    const Rows fine = convolve(norm_relu(coarse, up, wider), *here.parents, wider, width);
    x = block(concatenate(x, fine, here.count, width), here, 2 * width, width);
    return blocks(blocks_ - 1, std::move(x), here, width);
  }

  Rows blocks(int64_t count, Rows x, const Level& level, int64_t width) {
    for (int64_t i = 0; i < count; ++i) x = block(std::move(x), level, width, width);
    return x;
  }

  // BN, ReLU, 3^3, BN, ReLU, 3^3, plus the input (through a 1^3 where the widths differ).
  Rows block(Rows x, const Level& level, int64_t in, int64_t out) {
    const Norm first = norm(in);
    const Rows y = norm_relu(x, first, in);
    const float* weights = kernel(kWindow, in, out);
    const Norm second = norm(out);
    const Rows z = convolve(y, level.window, weights, in, out, nullptr, &second);
    const float* last = kernel(kWindow, out, out);
    const Rows shortcut = in == out ? std::move(x) : convolve(x, level.self, in, out);
    return convolve(z, level.window, last, out, out, shortcut.data(), nullptr);
  }

  Rows convolve(const Rows& x, const Map& map, int64_t in, int64_t out) {
    return convolve(x, map, kernel(map.kernel, in, out), in, out, nullptr, nullptr);
  }

  Rows convolve(const Rows& x, const Map& map, const float* weights, int64_t in, int64_t out,
                const float* start, const Norm* norm) {
    Watch().check();
    Rows y(map.rows * out);
    const Norm none{nullptr, nullptr, nullptr, nullptr};
    const Norm& after = norm ? *norm : none;
    check(sphmask_gather_convolve_f32(
        x.data(), map.starts.data(), map.source.data(), map.target.data(), weights, y.data(), start,
        after.mean, after.variance, after.weight, after.bias, epsilon_, kTileRows, x.size() / in, in,
        static_cast<int64_t>(map.starts.size()), map.starts.back(), map.kernel,
        columns(out) / panel_width(out), panel_width(out), map.rows, out, threads_));
    return y;
  }

  Rows norm_relu(const Rows& x, const Norm& norm, int64_t channels) {
    Rows y(x.size());
    check(sphmask_norm_relu(x.data(), norm.mean, norm.variance, norm.weight, norm.bias, y.data(), epsilon_,
                            x.size() / channels, channels, threads_));
    return y;
  }

  static Rows concatenate(const Rows& a, const Rows& b, int64_t rows, int64_t width) {
    Rows both(2 * rows * width);
    for (int64_t v = 0; v < rows; ++v) {
      std::copy_n(a.data() + v * width, width, both.data() + 2 * v * width);
      std::copy_n(b.data() + v * width, width, both.data() + (2 * v + 1) * width);
    }
    return both;
  }

  static int64_t panel_width(int64_t out) {
    return out % Wide<float>::kWidth == 0 ? Wide<float>::kWidth : Narrow<float>::kWidth;
  }
  static int64_t columns(int64_t out) { return round_up(out, panel_width(out)); }

  // The weights that come next.
  const float* take(int64_t count) {
    if (end_ - next_ < count) throw Refused{"packed holds less than the layers need"};
    next_ += count;
    return next_ - count;
  }
  const float* kernel(int64_t size, int64_t in, int64_t out) { return take(size * in * columns(out)); }
  Norm norm(int64_t channels) {
    const float* values = take(4 * channels);
    return {values, values + channels, values + 2 * channels, values + 3 * channels};
  }

  const float *next_, *end_;
  int64_t blocks_;
  double epsilon_;
  int64_t threads_;
};

}  // namespace

const char* sphmask_unet(const float* features, const int32_t* coords, const float* packed, float* encoded,
                         int64_t levels, int64_t blocks, double epsilon, int64_t n, int64_t in,
                         int64_t packed_count, int64_t channels, int64_t threads) {
  if (n == 0) return kFine;
  return guarded([&]() -> const char* {
    try {
      std::vector<Level> pyramid;
      pyramid.reserve(levels);
      pyramid.emplace_back(std::vector<int32_t>(coords, coords + 4 * n), threads);
      while (static_cast<int64_t>(pyramid.size()) < levels)
        pyramid.emplace_back(pyramid.back().halve(threads), threads);
      UNet unet(packed, packed_count, blocks, epsilon, threads);
      Rows given(n * in);
      std::copy_n(features, n * in, given.data());
      const Rows x = unet.run(pyramid, given, in, channels);
      std::copy_n(x.data(), x.size(), encoded);
      return kFine;
    } catch (const Refused& refused) {
      return refused.problem;
    }
  });
}
