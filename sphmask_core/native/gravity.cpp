// SPDX-License-Identifier: Apache-2.0
// Normals of the flat neighborhoods of a cloud. Nearest points are found by a k-d tree (Bentley 1975).

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "normals.h"

namespace {

constexpr int64_t kLeaf = 16;           // points that are not halved any further
constexpr int64_t kMostNeighbors = 64;  // of a neighborhood

struct Point {
  float at[3];
};

double squared_distance(const Point& a, const Point& b) {
  double sum = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const double step = static_cast<double>(a.at[axis]) - b.at[axis];
    sum += step * step;
  }
  return sum;
}

// The nearest points that were met so far, nearest first.
struct Nearest {
  int64_t wanted, count = 0;
  double distance[kMostNeighbors];
  Point points[kMostNeighbors];

  explicit Nearest(int64_t wanted) : wanted(wanted) {}

  // Squared distance from which a point is none of them.
  double reach() const {
    return count < wanted ? std::numeric_limits<double>::infinity() : distance[count - 1];
  }
  void meet(const Point& point, double squared) {
    if (squared >= reach()) return;
    int64_t place = count < wanted ? count++ : count - 1;
    for (; place > 0 && distance[place - 1] > squared; --place)
      distance[place] = distance[place - 1], points[place] = points[place - 1];
    distance[place] = squared, points[place] = point;
  }
};

// Points that are parted again and again, each time in the middle of the longest side of the box around them.
class Tree {
public:
  Tree(const float* xyz, int64_t n) : points_(n) {
    for (int64_t i = 0; i < n; ++i) points_[i] = {xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]};
    part(0, n);
  }

  void find(const Point& place, Nearest& nearest) const {
    find(place, nearest, 0, static_cast<int64_t>(points_.size()), 0);
  }

private:
  // Between two parts of a range of points. The lower part's own cut comes next.
  struct Cut {
    int axis;  // -1: the range is not parted
    float at;
    int64_t middle;  // where the upper part begins
    size_t upper;    // its own cut
  };

  void part(int64_t begin, int64_t end) {
    const size_t own = cuts_.size();
    cuts_.push_back(cut(begin, end));
    const Cut made = cuts_[own];
    if (made.axis < 0) return;
    const auto below = [&](const Point& p) { return p.at[made.axis] < made.at; };
    const auto middle =
        std::partition(points_.begin() + begin, points_.begin() + end, below) - points_.begin();
    part(begin, middle);
    cuts_[own].middle = middle, cuts_[own].upper = cuts_.size();
    part(middle, end);
  }

  // Where a range is parted; both parts have points.
  Cut cut(int64_t begin, int64_t end) const {
    if (end - begin <= kLeaf) return {-1, 0, 0, 0};
    Point low = points_[begin], high = low;
    for (int64_t i = begin + 1; i < end; ++i)
      for (int axis = 0; axis < 3; ++axis) {
        low.at[axis] = std::min(low.at[axis], points_[i].at[axis]);
        high.at[axis] = std::max(high.at[axis], points_[i].at[axis]);
      }
    int longest = 0;
    for (int axis = 1; axis < 3; ++axis)
      if (high.at[axis] - low.at[axis] > high.at[longest] - low.at[longest]) longest = axis;
    if (!(high.at[longest] > low.at[longest])) return {-1, 0, 0, 0};
    const float middle = low.at[longest] / 2 + high.at[longest] / 2;
    return {longest, middle > low.at[longest] ? middle : high.at[longest], 0, 0};
  }

  void find(const Point& place, Nearest& nearest, int64_t begin, int64_t end, size_t own) const {
    const Cut& cut = cuts_[own];
    if (cut.axis < 0) {
      for (int64_t i = begin; i < end; ++i) nearest.meet(points_[i], squared_distance(place, points_[i]));
      return;
    }
    const double beyond = static_cast<double>(place.at[cut.axis]) - cut.at;
    const auto lower = [&] { find(place, nearest, begin, cut.middle, own + 1); };
    const auto upper = [&] { find(place, nearest, cut.middle, end, cut.upper); };
    beyond < 0 ? lower() : upper();
    if (beyond * beyond < nearest.reach()) beyond < 0 ? upper() : lower();
  }

  std::vector<Point> points_;
  std::vector<Cut> cuts_;  // in the order in which they were made
};

// Unit normal of a neighborhood; 0 where the share of its least variance in all is `flat` or more.
std::array<double, 3> normal_of(const Nearest& near, double flat) {
  double mean[3] = {0, 0, 0};
  for (int64_t i = 0; i < near.count; ++i)
    for (int axis = 0; axis < 3; ++axis)
      mean[axis] += near.points[i].at[axis] / static_cast<double>(near.count);
  Covariance m;
  for (int64_t i = 0; i < near.count; ++i) {
    const float* p = near.points[i].at;
    const double x = p[0] - mean[0], y = p[1] - mean[1], z = p[2] - mean[2];
    m.xx += x * x, m.xy += x * y, m.xz += x * z, m.yy += y * y, m.yz += y * z, m.zz += z * z;
  }
  const Eigen least = smallest_eigenvector(m);
  if (!(least.value < flat * (m.xx + m.yy + m.zz))) return {0, 0, 0};
  return {least.x, least.y, least.z};
}

}  // namespace

const char* sphmask_surface_normals(const float* xyz, double* normals, int64_t neighbors, double flat,
                                    int64_t* count, int64_t n, int64_t chosen, int64_t threads) {
  *count = 0;
  if (neighbors < 1 || neighbors > kMostNeighbors) return "neighbors must be from 1 to 64";
  if (chosen > n) return "there are fewer points than normals";
  if (!all_finite(xyz, 3 * n)) return "xyz has a coordinate that is not finite";
  return guarded([&] {
    const Tree tree(xyz, n);
    std::vector<std::array<double, 3>> all(chosen);
#pragma omp parallel for schedule(dynamic, 64) num_threads(static_cast<int>(threads))
    for (int64_t i = 0; i < chosen; ++i) {
      Nearest nearest(neighbors);
      tree.find({xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]}, nearest);
      all[i] = normal_of(nearest, flat);
    }
    for (const auto& normal : all)
      if (normal != std::array<double, 3>{0, 0, 0}) std::copy_n(normal.data(), 3, normals + 3 * (*count)++);
    return kFine;
  });
}
