// SPDX-License-Identifier: Apache-2.0
// Exact farthest point sampling and ball query: the same results as the plain formulas, to the last bit. What
// is left out is left out by arguments that hold for rounded numbers too, because rounding is monotone.

// A fused multiply-add rounds differently from the plain operations of the reference.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "sort.h"
#include "team.h"
#include "vectors.h"

namespace {

constexpr int64_t kLanes = kVectorBytes / 4;
constexpr int64_t kScanned = 1 << 14;  // points up to which a scan that ends with the k-th hit beats any grid
constexpr int64_t kBlock = 64;         // points that are looked at together
constexpr int32_t kNone = std::numeric_limits<int32_t>::max();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

typedef float Floats __attribute__((vector_size(4 * kLanes), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes), aligned(4)));

Floats& at(std::vector<float>& v, int64_t i) { return *reinterpret_cast<Floats*>(v.data() + i); }
const Floats& at(const std::vector<float>& v, int64_t i) {
  return *reinterpret_cast<const Floats*>(v.data() + i);
}
const Ints& at(const std::vector<int32_t>& v, int64_t i) {
  return *reinterpret_cast<const Ints*>(v.data() + i);
}

template <typename V>
V least(V a, V b) {
  return a < b ? a : b;
}

template <typename V>
V most(V a, V b) {
  return a > b ? a : b;
}

bool any(Ints mask) {
  int32_t bits = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) bits |= mask[lane];
  return bits != 0;
}

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

struct Extent {
  float low[3], high[3];

  Extent(const float* xyz, int64_t count) {
    for (int axis = 0; axis < 3; ++axis) low[axis] = kInfinity, high[axis] = -kInfinity;
    for (int64_t i = 0; i < 3 * count; ++i) {
      low[i % 3] = std::min(low[i % 3], xyz[i]);
      high[i % 3] = std::max(high[i % 3], xyz[i]);
    }
  }
  double edge(int axis) const { return static_cast<double>(high[axis]) - low[axis]; }
  double longest() const { return std::max({edge(0), edge(1), edge(2)}); }
};

// Points in the order of their indices, with room for a whole vector beyond the last.
struct Points {
  std::vector<float> x, y, z;

  Points(const float* xyz, const std::vector<int32_t>& order)
      : x(order.size() + kLanes), y(order.size() + kLanes), z(order.size() + kLanes) {
    for (size_t i = 0; i < order.size(); ++i) {
      const float* p = xyz + 3 * static_cast<int64_t>(order[i]);
      x[i] = p[0], y[i] = p[1], z[i] = p[2];
    }
  }
};

uint64_t spread_bits(uint64_t v) {
  v = (v | v << 32) & 0x001F00000000FFFF;
  v = (v | v << 16) & 0x001F0000FF0000FF;
  v = (v | v << 8) & 0x100F00F00F00F00F;
  v = (v | v << 4) & 0x10C30C30C30C30C3;
  return (v | v << 2) & 0x1249249249249249;
}

// Indices of the points that are not skipped, along a Morton curve, so that blocks are compact.
std::vector<int32_t> morton_order(const float* xyz, const uint8_t* skip, int64_t count) {
  const Extent extent(xyz, count);
  const double longest = extent.longest(), scale = longest > 0 ? ((1 << 21) - 1) / longest : 0;
  std::vector<int32_t> order;
  std::vector<uint64_t> codes;
  for (int64_t i = 0; i < count; ++i) {
    if (skip != nullptr && skip[i]) continue;
    uint64_t code = 0;
    for (int axis = 0; axis < 3; ++axis) {
      const double cell = (static_cast<double>(xyz[3 * i + axis]) - extent.low[axis]) * scale;
      code |= spread_bits(static_cast<uint64_t>(cell)) << axis;
    }
    order.push_back(static_cast<int32_t>(i)), codes.push_back(code);
  }
  radix_sort(codes, order);
  return order;
}

// Points along a curve with the squared distance of each to the samples so far, in blocks with bounding
// boxes. A box's distance, computed like a point's, never exceeds that of a point inside, so a block that is
// farther from a sample than any of its points from earlier samples stays as it is.
class Candidates {
public:
  Candidates(const float* xyz, std::vector<int32_t> curve)
      : blocks_(round_up(curve.size(), kBlock) / kBlock) {
    const int64_t count = static_cast<int64_t>(curve.size()), padded = blocks_ * kBlock;
    if (count > 0) curve.resize(padded, curve.back());
    points_ = Points(xyz, curve);
    index_ = std::move(curve);
    distance_.assign(padded, kInfinity);
    std::fill(distance_.begin() + count, distance_.end(), -1.0f);  // padding is never the farthest
    best_.assign(round_up(blocks_, kLanes), -1.0f);
    best_index_.assign(best_.size(), kNone);
    bound_axis(points_.x, low_[0], high_[0]);
    bound_axis(points_.y, low_[1], high_[1]);
    bound_axis(points_.z, low_[2], high_[2]);
    for (int64_t block = 0; block < blocks_; ++block) find_best(block);
  }

  // Takes one more sample into account and returns the point that is then farthest, 0 if there is none.
  int64_t farthest_after(const float* p) {
    for (int64_t block = 0; block < blocks_; block += kLanes) {
      const Ints near = box_distances(block, p) < at(best_, block);
      if (!any(near)) continue;
      for (int64_t lane = 0; lane < kLanes; ++lane)
        if (near[lane]) update(block + lane, p);
    }
    return blocks_ > 0 ? best_of(best_, best_index_, 0, best_.size()).index : 0;
  }

private:
  struct Best {
    float distance;
    int32_t index;
  };

  void bound_axis(const std::vector<float>& v, std::vector<float>& low, std::vector<float>& high) const {
    low.assign(best_.size(), 0), high.assign(best_.size(), 0);
    for (int64_t block = 0; block < blocks_; ++block) {
      const auto range = std::minmax_element(v.begin() + block * kBlock, v.begin() + (block + 1) * kBlock);
      low[block] = *range.first, high[block] = *range.second;
    }
  }

  Floats gap(int axis, int64_t block, float v) const {
    return most(most(at(low_[axis], block) - v, v - at(high_[axis], block)), Floats{});
  }

  Floats box_distances(int64_t block, const float* p) const {
    const Floats dx = gap(0, block, p[0]), dy = gap(1, block, p[1]), dz = gap(2, block, p[2]);
    return (dx * dx + dy * dy) + dz * dz;
  }

  // The largest value of [begin, end) and the lowest index that has it.
  static Best best_of(const std::vector<float>& value, const std::vector<int32_t>& index, int64_t begin,
                      int64_t end) {
    Floats highest = at(value, begin);
    for (int64_t i = begin + kLanes; i < end; i += kLanes) highest = most(highest, at(value, i));
    float top = highest[0];
    for (int64_t lane = 1; lane < kLanes; ++lane) top = std::max(top, highest[lane]);
    Ints lowest = Ints{} + kNone;
    for (int64_t i = begin; i < end; i += kLanes)
      lowest = least(lowest, at(value, i) == top ? at(index, i) : Ints{} + kNone);
    int32_t first = lowest[0];
    for (int64_t lane = 1; lane < kLanes; ++lane) first = std::min(first, lowest[lane]);
    return {top, first};
  }

  void find_best(int64_t block) {
    const Best best = best_of(distance_, index_, block * kBlock, (block + 1) * kBlock);
    best_[block] = best.distance, best_index_[block] = best.index;
  }

  void update(int64_t block, const float* p) {
    for (int64_t i = block * kBlock; i < (block + 1) * kBlock; i += kLanes) {
      const Floats dx = at(points_.x, i) - p[0], dy = at(points_.y, i) - p[1], dz = at(points_.z, i) - p[2];
      at(distance_, i) = least(at(distance_, i), (dx * dx + dy * dy) + dz * dz);
    }
    find_best(block);
  }

  int64_t blocks_;
  Points points_{nullptr, {}};
  std::vector<int32_t> index_, best_index_;
  std::vector<float> distance_, best_;
  std::vector<float> low_[3], high_[3];
};

// Points by cell, in index order within one. A point within the radius by rounded numbers lies in [q - r, q +
// r] on each axis, and a cell's number never falls as the coordinate grows, so the cells of that box hold
// every hit.
class Grid {
public:
  Grid(const float* xyz, int64_t count, float radius) : extent_(xyz, count), index_(count) {
    const double longest = extent_.longest();
    edge_ = std::min(std::max(static_cast<double>(radius), longest / kMostCells), longest);
    if (!(edge_ > 0)) edge_ = 1;
    for (int axis = 0; axis < 3; ++axis) {
      const double count = std::max(0.0, extent_.edge(axis) / edge_);  // 0 where it is not a number
      cells_[axis] = static_cast<int64_t>(std::min(count, kMostCells)) + 1;
    }
    std::vector<uint64_t> keys(count);
    for (int64_t i = 0; i < count; ++i) {
      const float* p = xyz + 3 * i;
      keys[i] = key(cell(0, p[0]), cell(1, p[1]), cell(2, p[2]));
    }
    std::iota(index_.begin(), index_.end(), 0);
    radix_sort(keys, index_);
    points_ = Points(xyz, index_);
    index_.resize(count + kLanes, kNone);
    for (int64_t i = 0; i < count; ++i)
      if (i == 0 || keys[i] != keys[i - 1]) keys_.push_back(keys[i]), start_.push_back(i);
    start_.push_back(count);
  }

  // Calls visit(begin, end) for the cells that hold all points within `reach` of p, the one with p first.
  template <typename Visit>
  void around(const float* p, double reach, Visit visit) const {
    int64_t low[3], high[3];
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = cell(axis, p[axis] - reach), high[axis] = cell(axis, p[axis] + reach);
    }
    const uint64_t own = key(cell(0, p[0]), cell(1, p[1]), cell(2, p[2]));
    visit_column(own, own, kNoKey, visit);
    for (int64_t x = low[0]; x <= high[0]; ++x)
      for (int64_t y = low[1]; y <= high[1]; ++y)
        visit_column(key(x, y, low[2]), key(x, y, high[2]), own, visit);
  }

  const Points& points() const { return points_; }
  const std::vector<int32_t>& index() const { return index_; }

private:
  static constexpr uint64_t kNoKey = ~uint64_t{0};
  static constexpr double kMostCells = 1 << 20;  // along an axis

  template <typename Visit>
  void visit_column(uint64_t first, uint64_t last, uint64_t except, Visit visit) const {
    size_t c = std::lower_bound(keys_.begin(), keys_.end(), first) - keys_.begin();
    for (; c < keys_.size() && keys_[c] <= last; ++c)
      if (keys_[c] != except) visit(start_[c], start_[c + 1]);
  }
  int64_t cell(int axis, double v) const {
    const double place = (v - extent_.low[axis]) / edge_;
    return static_cast<int64_t>(std::min(std::max(0.0, place), static_cast<double>(cells_[axis] - 1)));
  }
  uint64_t key(int64_t x, int64_t y, int64_t z) const { return (x * cells_[1] + y) * cells_[2] + z; }

  Extent extent_;
  double edge_;
  int64_t cells_[3];
  std::vector<int32_t> index_;
  std::vector<uint64_t> keys_;  // of the cells that hold points
  std::vector<int64_t> start_;  // of each of them in `index_`
  Points points_{nullptr, {}};
};

// The k lowest indices of the points that are strictly within the radius of one query.
class Hits {
public:
  explicit Hits(int64_t k) : k_(k), found_(3 * k + kLanes) {}

  void start(const float* query, float squared_radius) {
    query_ = query, squared_radius_ = squared_radius, count_ = 0, bound_ = kNone;
  }

  // Looks at points [begin, end), whose indices ascend; reads whole vectors, beyond the end too.
  void look(const Points& points, const std::vector<int32_t>& index, int64_t begin, int64_t end) {
    const int64_t enough = count_ + k_;
    for (int64_t i = begin; i < end && index[i] < bound_ && count_ < enough; i += kLanes) {
      const Floats dx = at(points.x, i) - query_[0], dy = at(points.y, i) - query_[1];
      const Floats dz = at(points.z, i) - query_[2];
      const Ints hit = ((dx * dx + dy * dy) + dz * dz < squared_radius_) & (at(index, i) < bound_);
      if (!any(hit)) continue;
      for (int64_t lane = 0; lane < std::min(kLanes, end - i); ++lane) {
        found_[count_] = index[i + lane];
        count_ -= hit[lane];  // a lane is -1 where it is true
      }
    }
    if (count_ >= (bound_ == kNone ? k_ : 2 * k_)) keep_lowest();
  }

  void write(int64_t* out) {
    if (count_ > k_) keep_lowest();
    std::sort(found_.begin(), found_.begin() + count_);
    std::copy_n(found_.begin(), count_, out);
    std::fill(out + count_, out + k_, count_ > 0 ? found_[0] : 0);
  }

private:
  void keep_lowest() {
    std::nth_element(found_.begin(), found_.begin() + k_ - 1, found_.begin() + count_);
    bound_ = found_[k_ - 1], count_ = k_;
  }

  int64_t k_, count_ = 0;
  int32_t bound_ = kNone;
  float squared_radius_ = 0;
  const float* query_ = nullptr;
  std::vector<int32_t> found_;
};

}  // namespace

const char* sphmask_farthest_points(const float* xyz, int64_t* picked, const uint8_t* skip, int64_t first,
                                    int64_t n, int64_t picks) {
  if (n > kMostRows) return kTooMany;
  if (picks > 0 && (first < 0 || first >= n)) return "first is not one of the points";
  if (!all_finite(xyz, 3 * n)) return "xyz has a coordinate that is not finite";
  return guarded([&] {
    Candidates candidates(xyz, morton_order(xyz, skip, n));
    const Watch watch;
    int64_t next = first;
    for (int64_t i = 0; i < picks; ++i) {
      watch.check();
      picked[i] = next;
      if (i + 1 < picks) next = candidates.farthest_after(xyz + 3 * next);
    }
    return kFine;
  });
}

const char* sphmask_ball_query(const float* xyz, const float* queries, int64_t* hits, float radius, int64_t n,
                               int64_t query_count, int64_t k, int64_t threads) {
  if (n > kMostRows) return kTooMany;
  if (!all_finite(xyz, 3 * n)) return "xyz has a coordinate that is not finite";
  if (!all_finite(queries, 3 * query_count)) return "queries has a coordinate that is not finite";
  if (query_count == 0 || k == 0) return kFine;
  return guarded([&] {
    const bool few = n <= kScanned;
    std::vector<int32_t> order(few ? n : 0);
    std::iota(order.begin(), order.end(), 0);
    const Points points(xyz, order);
    order.resize(order.size() + kLanes, kNone);
    const Grid grid(xyz, few ? 0 : n, radius);
    Team<Hits> team(threads, [&] { return Hits(k); });
#pragma omp parallel num_threads(static_cast<int>(threads))
    {
      Hits& mine = team.mine();
      const auto look = [&](int64_t begin, int64_t end) {
        mine.look(grid.points(), grid.index(), begin, end);
      };
#pragma omp for schedule(dynamic, 16)
      for (int64_t i = 0; i < query_count; ++i) {
        mine.start(queries + 3 * i, radius * radius);
        if (few)
          mine.look(points, order, 0, n);
        else
          grid.around(queries + 3 * i, radius, look);
        mine.write(hits + k * i);
      }
    }
    return kFine;
  });
}
