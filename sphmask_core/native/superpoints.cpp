// SPDX-License-Identifier: Apache-2.0
// Over-segmentation of one cloud's voxels: nearest neighbors, normals, Felzenszwalb merging.
// Everything runs over the voxels sorted by coordinate, so the result depends neither on their order
// nor on the number of threads.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "nearest.h"
#include "normals.h"
#include "watch.h"

namespace {

constexpr int64_t kMostSteps = 1 << 19;  // between two voxels on an axis, so that keys fit into 60 bits
constexpr int kBins = 1 << 16;           // edge weights are sorted in steps of 1 / kBins

struct Settings {
  float threshold;     // Felzenszwalb's k
  float convex;        // factor on the weight of convex edges
  float color;         // weight of a step of color
  int64_t min_voxels;  // smaller segments are joined to a neighbor
  int64_t edges;       // nearest neighbors that an edge leads to
};

struct Edge {
  int32_t a, b;
  float weight;
};

// Plane through a voxel's neighborhood.
struct Plane {
  Vec normal{0, 0, 0};  // 0 where the neighborhood is no surface
  Vec center{0, 0, 0};
  float residual = std::numeric_limits<float>::infinity();  // root mean square distance

  float misfit(Vec p) const { return residual + std::abs(dot(normal, p - center)); }
};

// What is around each voxel.
struct Surroundings {
  std::vector<Neighbors> near;
  std::vector<Plane> planes;
};

// Fits the planes of a few voxels that follow each other.
class Batch {
public:
  static constexpr int kVoxels = 64;

  void set(int i, const Moments& moments, int32_t neighbors) {
    for (size_t s = 0; s < moments.size(); ++s) sums_[s][i] = moments[s];
    share_[i] = 1.0 / (neighbors + 1);
  }

  void fit(int count) {
#pragma omp simd
    for (int i = 0; i < count; ++i) {
      const double part = share_[i], x = sums_[0][i] * part, y = sums_[1][i] * part, z = sums_[2][i] * part;
      Covariance m;
      m.xx = sums_[3][i] - sums_[0][i] * x, m.xy = sums_[4][i] - sums_[0][i] * y;
      m.xz = sums_[5][i] - sums_[0][i] * z, m.yy = sums_[6][i] - sums_[1][i] * y;
      m.yz = sums_[7][i] - sums_[1][i] * z, m.zz = sums_[8][i] - sums_[2][i] * z;
      const Eigen least = smallest_eigenvector(m);
      normal_[0][i] = least.x, normal_[1][i] = least.y, normal_[2][i] = least.z;
      mean_[0][i] = x, mean_[1][i] = y, mean_[2][i] = z;
      residual_[i] = std::sqrt(std::max(least.value * part, 0.0));
    }
  }

  // Whether the voxels lie in a plane, and not in all directions or along a line, where any would fit.
  bool surface(int i) const { return normal_[0][i] != 0 || normal_[1][i] != 0 || normal_[2][i] != 0; }

  Plane plane(int i, Vec voxel) const {
    return {rounded(normal_[0][i], normal_[1][i], normal_[2][i]),
            voxel + rounded(mean_[0][i], mean_[1][i], mean_[2][i]), static_cast<float>(residual_[i])};
  }

private:
  double sums_[9][kVoxels], share_[kVoxels], normal_[3][kVoxels], mean_[3][kVoxels], residual_[kVoxels];
};

Surroundings look_around(const Grid& grid, const Run& run) {
  const int64_t count = grid.count();
  Surroundings around{std::vector<Neighbors>(count), std::vector<Plane>(count)};
#pragma omp parallel num_threads(run.threads)
  {
    Window window(grid);
    Batch batch;
#pragma omp for schedule(static)
    for (int64_t first = 0; first < count; first += Batch::kVoxels) {
      if (run.watch.off()) continue;
      const int voxels = static_cast<int>(std::min<int64_t>(Batch::kVoxels, count - first));
      for (int i = 0; i < voxels; ++i) {
        window.move(first + i);
        around.near[first + i] = window.nearest();
        batch.set(i, window.moments(), around.near[first + i].count);
      }
      batch.fit(voxels);
      for (int i = 0; i < voxels; ++i)
        if (batch.surface(i)) around.planes[first + i] = batch.plane(i, grid.points[first + i]);
    }
  }
  run.watch.check();
  return around;
}

// A neighborhood across an edge of a surface fits neither side: of the planes around, each voxel takes the
// normal of the one that fits best, its own points and the voxel.
std::vector<Vec> sharpen(const Grid& grid, const Surroundings& around, const Run& run) {
  const std::vector<Neighbors>& near = around.near;
  const std::vector<Plane>& planes = around.planes;
  std::vector<Vec> normals(near.size());
#pragma omp parallel for schedule(static) num_threads(run.threads)
  for (int64_t i = 0; i < static_cast<int64_t>(near.size()); ++i) {
    if (run.watch.off()) continue;
    const Plane* best = &planes[i];
    float least = best->misfit(grid.points[i]);
    for (int k = 0; k < near[i].count; ++k) {
      const Plane* other = &planes[near[i].index[k]];
      const float misfit = other->misfit(grid.points[i]);
      if (misfit < least) least = misfit, best = other;
    }
    normals[i] = best->normal;
  }
  run.watch.check();
  return normals;
}

// Sets of voxels, joined step by step.
struct Segments {
  std::vector<int32_t> parent, size;
  std::vector<float> limit;  // heaviest inner edge + threshold / size

  Segments(int64_t count, float threshold) : parent(count), size(count, 1), limit(count, threshold) {
    std::iota(parent.begin(), parent.end(), 0);
  }
  int32_t find(int32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  }
  int32_t join(int32_t a, int32_t b) {
    if (size[a] < size[b] || (size[a] == size[b] && b < a)) std::swap(a, b);
    parent[b] = a;
    size[a] += size[b];
    return a;
  }
};

// Each voxel's edges to its nearest, once where both have each other.
std::vector<Edge> find_edges(const std::vector<Neighbors>& near, int64_t reach, const Watch& watch) {
  std::vector<Edge> edges(near.size() * reach + 1);  // one more is written than counts
  size_t count = 0;
  for (int32_t i = 0; i < static_cast<int32_t>(near.size()); ++i) {
    watch.check(i);
    for (int k = 0; k < std::min<int64_t>(reach, near[i].count); ++k) {
      const int32_t j = near[i].index[k];
      bool mutual = false;
      for (int64_t m = 0; m < reach; ++m) mutual |= near[j].index[m] == i;
      edges[count] = {std::min(i, j), std::max(i, j), 0};
      count += i < j || !mutual;
    }
  }
  edges.resize(count);
  return edges;
}

std::vector<Edge> sort_edges(const std::vector<Edge>& edges, const Watch& watch) {
  std::vector<int32_t> start(kBins + 1, 0);
  // A weight that is no number, as infinite factors make it, goes to the first bin.
  auto bin = [](float w) { return w > 0 ? static_cast<int>(std::min(w, 1.0f) * (kBins - 1)) : 0; };
  watch.for_each(edges, [&](const Edge& e) { ++start[bin(e.weight) + 1]; });
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<Edge> sorted(edges.size());
  watch.for_each(edges, [&](const Edge& e) { sorted[start[bin(e.weight)]++] = e; });
  return sorted;
}

// Sets of voxels whose normals are known to point to the same side or not.
class Sides {
public:
  explicit Sides(size_t count) : up_(count) {
    for (size_t i = 0; i < count; ++i) up_[i] = static_cast<uint32_t>(2 * i);
  }

  // Twice the lowest voxel of the set that holds voxel i; 1 more where the two normals point to different
  // sides.
  uint32_t find(uint32_t i) {
    uint32_t different = 0;
    while (up_[i] >> 1 != i) {
      up_[i] = up_[up_[i] >> 1] ^ (up_[i] & 1);
      different ^= up_[i] & 1;
      i = up_[i] >> 1;
    }
    return 2 * i | different;
  }

  // Joins the sets of two voxels, of which `find` said a and b.
  void join(uint32_t a, uint32_t b, bool different) {
    const auto [low, high] = std::minmax(a, b);
    up_[high >> 1] = low ^ (high & 1) ^ different;
  }

private:
  std::vector<uint32_t> up_;  // as `find` says it, of a lower voxel of the set
};

// Turns normals to one side along the smoothest paths between neighbors, the minimum spanning forest of the
// angle between planes; each connected part with its mean normal up, as floors, tables and fields are.
void orient(std::vector<Edge>& edges, std::vector<Plane>& planes, const Watch& watch) {
  for (Edge& e : edges) e.weight = 1 - std::abs(dot(planes[e.a].normal, planes[e.b].normal));
  Sides sides(planes.size());
  watch.for_each(sort_edges(edges, watch), [&](const Edge& e) {
    const uint32_t a = sides.find(e.a), b = sides.find(e.b);
    if (a >> 1 != b >> 1) sides.join(a, b, dot(planes[e.a].normal, planes[e.b].normal) < 0);
  });
  std::vector<double> up(planes.size(), 0);
  auto visit = [&](auto act) {
    uint32_t i = 0;
    watch.for_each(planes, [&](Plane& plane) {
      const uint32_t side = sides.find(i++);
      act(plane, up[side >> 1], side & 1);
    });
  };
  visit([](Plane& plane, double& sum, bool other) { sum += other ? -plane.normal.z : plane.normal.z; });
  visit([](Plane& plane, double& sum, bool other) {
    if (other != (sum < 0)) plane.normal = Vec{0, 0, 0} - plane.normal;
  });
}

void weigh(const Grid& grid, const std::vector<Vec>& normals, const Settings& settings,
           std::vector<Edge>& edges, const Run& run) {
#pragma omp parallel for schedule(static) num_threads(run.threads)
  for (int64_t k = 0; k < static_cast<int64_t>(edges.size()); ++k) {
    if (run.watch.off()) continue;
    Edge& e = edges[k];
    const Vec na = normals[e.a], nb = normals[e.b];
    const float bend = std::clamp(1 - dot(na, nb), 0.0f, 1.0f);
    const bool convex = dot(na - nb, grid.points[e.a] - grid.points[e.b]) >= 0;
    e.weight = convex ? settings.convex * bend : bend;
    if (grid.colors.empty()) continue;
    const Vec step = grid.colors[e.a] - grid.colors[e.b];
    e.weight += settings.color * std::sqrt(dot(step, step));
  }
  run.watch.check();
}

void merge(const std::vector<Edge>& edges, const Settings& settings, Segments& segments, const Watch& watch) {
  std::vector<Edge> borders;  // between segments, when they were weighed
  borders.reserve(edges.size());
  watch.for_each(edges, [&](const Edge& e) {
    int32_t a = segments.find(e.a), b = segments.find(e.b);
    if (a == b) return;
    if (e.weight > segments.limit[a] || e.weight > segments.limit[b]) return borders.push_back(e);
    a = segments.join(a, b);
    segments.limit[a] = e.weight + settings.threshold / segments.size[a];
  });
  watch.for_each(borders, [&](const Edge& e) {
    const int32_t a = segments.find(e.a), b = segments.find(e.b);
    if (a != b && std::min(segments.size[a], segments.size[b]) < settings.min_voxels) segments.join(a, b);
  });
}

// Labels 0, 1, ... by first appearance in the input; returns their number.
int64_t number_segments(const Grid& grid, Segments& segments, int64_t* labels) {
  const int64_t count = static_cast<int64_t>(grid.order.size());
  for (int64_t i = 0; i < count; ++i) labels[grid.order[i]] = segments.find(static_cast<int32_t>(i));
  std::vector<int64_t> number(count, -1);
  int64_t segment_count = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t& n = number[labels[i]];
    if (n < 0) n = segment_count++;
    labels[i] = n;
  }
  return segment_count;
}

}  // namespace

const char* sphmask_superpoints(const int32_t* coords, const float* xyz, const float* rgb, int64_t* labels,
                                float threshold, float convex, float color, int64_t min_voxels,
                                int64_t neighbors, int64_t* count, int64_t n, int64_t threads) {
  *count = 0;
  if (n == 0) return kFine;
  if (n > kMostRows / kNearest) return "there are too many voxels";
  if (neighbors < 1 || neighbors > kNearest) return "neighbors must be from 1 to 20";
  if (!all_finite(xyz, 3 * n)) return "xyz has a coordinate that is not finite";
  if (rgb && !all_finite(rgb, 3 * n)) return "rgb has a color that is not finite";
  return guarded([&] {
    const Settings settings{threshold, convex, color, min_voxels, neighbors};
    const Extents extents(coords, n);
    if (extents.longest() > kMostSteps) return "coords are more than 2^19 voxels apart";
    const Grid grid = make_grid(coords, extents, xyz, rgb, n);
    const Run run{static_cast<int>(threads), Watch()};
    Surroundings around = look_around(grid, run);
    std::vector<Edge> edges = find_edges(around.near, settings.edges, run.watch);
    orient(edges, around.planes, run.watch);
    weigh(grid, sharpen(grid, around, run), settings, edges, run);
    Segments segments(n, settings.threshold);
    merge(sort_edges(edges, run.watch), settings, segments, run.watch);
    *count = number_segments(grid, segments, labels);
    return kFine;
  });
}
