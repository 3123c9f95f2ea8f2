// SPDX-License-Identifier: Apache-2.0
// The smallest upright boxes around points. Of all footprints the smallest has an edge of the convex hull
// along one of its sides (Freeman and Shapira).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "watch.h"

namespace {

constexpr size_t kFew = 64;            // points whose hull is found directly
constexpr double kRounding = 1e-9;     // share of a border's distance by which points on it count as outside
constexpr double kPreferShort = 1e-9;  // weight of a circumference beside its area: decides where areas are 0
constexpr double kUnit = 1.001;        // the largest number of a unit vector, with its rounding
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A point seen from above.
struct Flat {
  double x, y;

  bool operator==(Flat other) const { return x == other.x && y == other.y; }
  bool operator<(Flat other) const { return x < other.x || (x == other.x && y < other.y); }
};

Flat operator-(Flat a, Flat b) { return {a.x - b.x, a.y - b.y}; }
double dot(Flat a, Flat b) { return a.x * b.x + a.y * b.y; }
Flat left_of(Flat a) { return {-a.y, a.x}; }

// Drops points inside the polygon of the extremes in eight directions: they are no corners of the hull (Akl
// and Toussaint), and of some thousands of points some dozens are left.
void drop_inner(std::vector<Flat>& points) {
  if (points.size() < kFew) return;
  constexpr int kDirections = 8;  // counterclockwise
  constexpr Flat directions[kDirections] = {{1, 0},  {1, 1},   {0, 1},  {-1, 1},
                                            {-1, 0}, {-1, -1}, {0, -1}, {1, -1}};
  Flat corners[kDirections] = {};
  double farthest[kDirections];
  std::fill_n(farthest, kDirections, -kInfinity);
  for (const Flat p : points)
    for (int k = 0; k < kDirections; ++k)
      if (const double far = dot(directions[k], p); far > farthest[k]) farthest[k] = far, corners[k] = p;
  Flat inward[kDirections];
  double borders[kDirections], largest = 0;
  int sides = 0;
  for (int k = 0; k < kDirections; ++k) {
    const Flat next = corners[(k + 1) % kDirections];
    if (corners[k] == next) continue;
    inward[sides] = left_of(next - corners[k]);
    borders[sides] = dot(inward[sides], corners[k]);
    largest = std::max(largest, std::abs(borders[sides++]));
  }
  points.erase(std::remove_if(points.begin(), points.end(),
                              [&](Flat p) {
                                for (int k = 0; k < sides; ++k)
                                  if (dot(inward[k], p) <= borders[k] + kRounding * largest) return false;
                                return sides > 0;
                              }),
               points.end());
}

// The corners of the convex hull, counterclockwise; of points on a line its ends (Andrew's monotone chain).
std::vector<Flat> hull(std::vector<Flat> points) {
  drop_inner(points);
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (points.size() < 3) return points;
  std::vector<Flat> corners;
  const auto add = [&](Flat p, size_t kept) {
    while (corners.size() > kept) {
      const Flat last = corners.back(), before = corners[corners.size() - 2];
      if (dot(left_of(last - before), p - before) > 0) break;
      corners.pop_back();
    }
    corners.push_back(p);
  };
  for (const Flat p : points) add(p, 1);
  const size_t lower = corners.size();
  for (size_t i = points.size() - 1; i-- > 0;) add(points[i], lower);
  corners.pop_back();  // the first once more
  return corners;
}

// From the least to the largest of some numbers.
struct Span {
  double low = kInfinity, high = -kInfinity;

  void add(double value) { low = std::min(low, value), high = std::max(high, value); }
  double length() const { return high - low; }
  double middle() const { return (low + high) / 2; }
};

struct Footprint {
  Flat along;  // unit vector
  Span length, width;
};

// The box around a hull with sides along a direction.
Footprint around(const std::vector<Flat>& corners, Flat along) {
  Footprint box{along, {}, {}};
  for (const Flat p : corners) box.length.add(dot(along, p)), box.width.add(dot(left_of(along), p));
  return box;
}

Footprint smallest(const std::vector<Flat>& corners) {
  const auto cost = [](const Footprint& box) {
    const double length = box.length.length(), width = box.width.length();
    return length * width + kPreferShort * (length + width);
  };
  Footprint best = around(corners, {1, 0});
  for (size_t i = 0; corners.size() > 1 && i < corners.size(); ++i) {
    const Flat edge = corners[(i + 1) % corners.size()] - corners[i];
    const double length = std::hypot(edge.x, edge.y);
    if (!(length > 0)) continue;  // too short for a square of it
    const Footprint box = around(corners, {edge.x / length, edge.y / length});
    if (cost(box) < cost(best)) best = box;
  }
  return best;
}

// Writes the box around n points (n, 3): middle (3) along the axes, size (3), turn (2, 2).
void write_box(const float* points, const double* axes, double* middle, double* size, double* turn,
               int64_t n) {
  std::vector<Flat> flat(n);
  Span height;
  for (int64_t i = 0; i < n; ++i) {
    const float* p = points + 3 * i;
    const auto along = [&](const double* axis) { return axis[0] * p[0] + axis[1] * p[1] + axis[2] * p[2]; };
    flat[i] = {along(axes), along(axes + 3)};
    height.add(along(axes + 6));
  }
  const Footprint box = smallest(hull(std::move(flat)));
  const Flat across = left_of(box.along);
  const bool turned = box.width.length() > box.length.length();
  const Flat first = turned ? across : box.along, second = left_of(first);
  const double length = box.length.length(), width = box.width.length();
  middle[0] = box.along.x * box.length.middle() + across.x * box.width.middle();
  middle[1] = box.along.y * box.length.middle() + across.y * box.width.middle();
  middle[2] = height.middle();
  size[0] = std::max(length, width), size[1] = std::min(length, width), size[2] = height.length();
  turn[0] = first.x, turn[1] = second.x, turn[2] = first.y, turn[3] = second.y;
}

}  // namespace

const char* sphmask_upright_boxes(const float* points, const int64_t* starts, const double* axes,
                                  double* middles, double* sizes, double* turns, int64_t n, int64_t bounds,
                                  int64_t boxes) {
  if (bounds != boxes + 1 || starts[0] != 0 || starts[boxes] != n) return "starts must run from 0 to n";
  for (int64_t b = 0; b < boxes; ++b)
    if (starts[b] >= starts[b + 1]) return "starts must rise: a box needs a point";
  if (!all_finite(points, 3 * n)) return "points has a coordinate that is not finite";
  for (int i = 0; i < 9; ++i)
    if (!(std::abs(axes[i]) <= kUnit)) return "axes must be unit vectors";
  return guarded([&] {
    const Watch watch;
    for (int64_t b = 0; b < boxes; ++b) {
      watch.check();
      write_box(points + 3 * starts[b], axes, middles + 3 * b, sizes + 3 * b, turns + 4 * b,
                starts[b + 1] - starts[b]);
    }
    return kFine;
  });
}
