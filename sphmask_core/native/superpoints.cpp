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
#include "normals.h"
#include "sort.h"
#include "vectors.h"

namespace {

constexpr int kReach = 2;  // neighbors are sought in (2 kReach + 1)^3 voxels
constexpr int kSide = 2 * kReach + 1;
constexpr int kNearest = 20;             // voxels of a normal, beside the voxel itself
constexpr int64_t kMostSteps = 1 << 19;  // between two voxels on an axis, so that keys fit into 60 bits
constexpr int kBins = 1 << 16;           // edge weights are sorted in steps of 1 / kBins

struct Settings {
  float threshold;     // Felzenszwalb's k
  float convex;        // factor on the weight of convex edges
  float color;         // weight of a step of color
  int64_t min_voxels;  // smaller segments are joined to a neighbor
  int64_t edges;       // nearest neighbors that an edge leads to
};

struct Neighbors {
  std::array<int32_t, kNearest> index;  // nearest first
  int32_t count;
};

struct Edge {
  int32_t a, b;
  float weight;
};

struct Grid {
  std::vector<int64_t> keys;   // sorted, packed x, y, z
  std::vector<int32_t> order;  // input index of each sorted voxel
  std::vector<Vec> points;
  std::vector<Vec> colors;     // none where they have no weight
  int64_t stride_x, stride_y;  // key of a step along x and y
};

std::vector<Vec> in_order(const float* values, const std::vector<int32_t>& order) {
  std::vector<Vec> sorted(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const float* v = values + 3 * static_cast<int64_t>(order[i]);
    sorted[i] = {v[0], v[1], v[2]};
  }
  return sorted;
}

// Lowest and highest coordinate on each axis.
struct Extents {
  int64_t low[3], high[3];

  Extents(const int32_t* coords, int64_t count) {
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = high[axis] = coords[axis];
      for (int64_t i = 1; i < count; ++i) {
        low[axis] = std::min<int64_t>(low[axis], coords[3 * i + axis]);
        high[axis] = std::max<int64_t>(high[axis], coords[3 * i + axis]);
      }
    }
  }
  int64_t steps(int axis) const { return high[axis] - low[axis]; }
  int64_t longest() const { return std::max({steps(0), steps(1), steps(2)}); }
};

Grid make_grid(const int32_t* coords, const Extents& extents, const float* xyz, const float* rgb,
               int64_t count) {
  Grid grid;
  grid.stride_y = extents.steps(2) + 1 + kSide;  // a margin, so that windows never wrap
  grid.stride_x = grid.stride_y * (extents.steps(1) + 1 + kSide);
  const int64_t* const low = extents.low;
  std::vector<uint64_t> keys(count);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t* c = coords + 3 * i;
    keys[i] = (c[0] - low[0]) * grid.stride_x + (c[1] - low[1]) * grid.stride_y + (c[2] - low[2]);
  }
  grid.order.resize(count);
  std::iota(grid.order.begin(), grid.order.end(), 0);
  radix_sort(keys, grid.order);
  grid.keys.assign(keys.begin(), keys.end());
  grid.points = in_order(xyz, grid.order);
  if (rgb) grid.colors = in_order(rgb, grid.order);
  return grid;
}

// The voxels of one voxel's window, by ascending index.
class Window {
public:
  void clear() { count_ = 0; }
  void add(int32_t n, float d) { index_[count_] = n, distance_[count_++] = d; }

  // A voxel's place is the number of nearer ones, of equally near ones of lower index: no branch, no swap.
  // Each voxel in turn is compared with a vector of others.
  Neighbors nearest() {
    Neighbors found;
    found.count = std::min(count_, kNearest);
    const int32_t vectors = (count_ + kLanes - 1) / kLanes;
    std::fill(distance_ + count_, distance_ + vectors * kLanes, std::numeric_limits<float>::infinity());
    Ints place[kVectors] = {};
    for (int32_t j = 0; j < count_; ++j) {
      const int32_t own = j / kLanes;
      for (int32_t v = 0; v < own; ++v) place[v] -= distance_[j] < at(v);
      place[own] -= (distance_[j] < at(own)) | ((distance_[j] == at(own)) & (kLane > j % kLanes));
      for (int32_t v = own + 1; v < vectors; ++v) place[v] -= distance_[j] <= at(v);
    }
    for (int32_t i = 0; i < count_; ++i)
      if (const int32_t at = place[i / kLanes][i % kLanes]; at < kNearest) found.index[at] = index_[i];
    return found;
  }

private:
  static constexpr int32_t kLanes = kVectorBytes / 4;
  static constexpr int32_t kVectors = (kSide * kSide * kSide + kLanes - 1) / kLanes;
  typedef float Floats __attribute__((vector_size(kVectorBytes)));
  typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));

  static Ints lanes() {
    Ints numbers{};
    for (int32_t lane = 0; lane < kLanes; ++lane) numbers[lane] = lane;
    return numbers;
  }
  const Floats& at(int32_t v) const { return *reinterpret_cast<const Floats*>(distance_ + v * kLanes); }

  alignas(kVectorBytes) float distance_[kVectors * kLanes];  // infinite beyond the last
  int32_t index_[kVectors * kLanes];
  const Ints kLane = lanes();
  int32_t count_ = 0;
};

// Sorted keys make every column of a voxel's window one contiguous run; its start only moves forward.
std::vector<Neighbors> find_neighbors(const Grid& grid, int threads) {
  const int64_t count = static_cast<int64_t>(grid.keys.size());
  std::vector<Neighbors> all(count);
#pragma omp parallel num_threads(threads)
  {
    std::array<int64_t, kSide * kSide> start;
    start.fill(-1);
    Window window;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      window.clear();
      for (int column = 0; column < kSide * kSide; ++column) {
        const int64_t middle = grid.keys[i] + (column / kSide - kReach) * grid.stride_x +
                               (column % kSide - kReach) * grid.stride_y;
        int64_t& j = start[column];
        if (j < 0)
          j = std::lower_bound(grid.keys.begin(), grid.keys.end(), middle - kReach) - grid.keys.begin();
        while (j < count && grid.keys[j] < middle - kReach) ++j;
        for (int64_t n = j; n < count && grid.keys[n] <= middle + kReach; ++n) {
          const Vec d = grid.points[n] - grid.points[i];
          if (n != i) window.add(static_cast<int32_t>(n), dot(d, d));
        }
      }
      all[i] = window.nearest();
    }
  }
  return all;
}

// Plane through a voxel's neighborhood.
struct Plane {
  Vec normal{0, 0, 0};  // 0 where the neighborhood is no surface
  Vec center{0, 0, 0};
  float residual = std::numeric_limits<float>::infinity();  // root mean square distance

  float misfit(Vec p) const { return residual + std::abs(dot(normal, p - center)); }
};

Plane fit_plane(const Grid& grid, const Neighbors& near, int64_t i) {
  if (near.count < 2) return {};
  double n = 1, x = 0, y = 0, z = 0;
  Covariance m;
  for (int k = 0; k < near.count; ++k, ++n) {
    const Vec d = grid.points[near.index[k]] - grid.points[i];
    x += d.x, y += d.y, z += d.z;
    m.xx += d.x * d.x, m.xy += d.x * d.y, m.xz += d.x * d.z;
    m.yy += d.y * d.y, m.yz += d.y * d.z, m.zz += d.z * d.z;
  }
  m.xx -= x * x / n, m.xy -= x * y / n, m.xz -= x * z / n;
  m.yy -= y * y / n, m.yz -= y * z / n, m.zz -= z * z / n;
  const auto [value, normal] = smallest_eigenvector(m);
  const Vec mean{static_cast<float>(x / n), static_cast<float>(y / n), static_cast<float>(z / n)};
  return {normal, grid.points[i] + mean, static_cast<float>(std::sqrt(std::max(value / n, 0.0)))};
}

std::vector<Plane> fit_planes(const Grid& grid, const std::vector<Neighbors>& near, int threads) {
  std::vector<Plane> planes(near.size());
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < static_cast<int64_t>(near.size()); ++i) planes[i] = fit_plane(grid, near[i], i);
  return planes;
}

// A neighborhood across an edge of a surface fits neither side: of the planes around, each voxel takes the
// normal of the one that fits best, its own points and the voxel.
std::vector<Vec> sharpen(const Grid& grid, const std::vector<Neighbors>& near,
                         const std::vector<Plane>& planes, int threads) {
  std::vector<Vec> normals(near.size());
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t i = 0; i < static_cast<int64_t>(near.size()); ++i) {
    const Plane* best = &planes[i];
    float least = best->misfit(grid.points[i]);
    for (int k = 0; k < near[i].count; ++k) {
      const Plane* other = &planes[near[i].index[k]];
      const float misfit = other->misfit(grid.points[i]);
      if (misfit < least) least = misfit, best = other;
    }
    normals[i] = best->normal;
  }
  return normals;
}

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

std::vector<Edge> find_edges(const std::vector<Neighbors>& near, int64_t reach) {
  std::vector<Edge> edges;
  edges.reserve(near.size() * reach);
  auto holds = [&](int32_t a, int32_t b) {
    const Neighbors& n = near[a];
    const auto end = n.index.begin() + std::min<int64_t>(reach, n.count);
    return std::find(n.index.begin(), end, b) != end;
  };
  for (int32_t i = 0; i < static_cast<int32_t>(near.size()); ++i)
    for (int k = 0; k < std::min<int64_t>(reach, near[i].count); ++k) {
      const int32_t j = near[i].index[k];
      if (i < j || !holds(j, i)) edges.push_back({std::min(i, j), std::max(i, j), 0});
    }
  return edges;
}

std::vector<Edge> sort_edges(const std::vector<Edge>& edges) {
  std::vector<int32_t> start(kBins + 1, 0);
  // A weight that is no number, as infinite factors make it, goes to the first bin.
  auto bin = [](float w) { return w > 0 ? static_cast<int>(std::min(w, 1.0f) * (kBins - 1)) : 0; };
  for (const Edge& e : edges) ++start[bin(e.weight) + 1];
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<Edge> sorted(edges.size());
  for (const Edge& e : edges) sorted[start[bin(e.weight)]++] = e;
  return sorted;
}

struct Link {
  int32_t to;
  bool flip;  // the two normals point to different sides
};

// Links of all voxels one after the other, those of voxel i from start[i] to start[i + 1].
struct Links {
  std::vector<int32_t> start;
  std::vector<Link> links;
};

// For each voxel its links in the minimum spanning forest of the angle between planes.
Links smoothest_paths(std::vector<Edge> edges, const std::vector<Plane>& planes) {
  for (Edge& e : edges) e.weight = 1 - std::abs(dot(planes[e.a].normal, planes[e.b].normal));
  Segments parts(planes.size(), 0);
  std::vector<Edge> forest;
  Links paths{std::vector<int32_t>(planes.size() + 2, 0), {}};
  for (const Edge& e : sort_edges(edges)) {
    const int32_t a = parts.find(e.a), b = parts.find(e.b);
    if (a == b) continue;
    parts.join(a, b);
    forest.push_back(e);
    ++paths.start[e.a + 2], ++paths.start[e.b + 2];
  }
  std::partial_sum(paths.start.begin(), paths.start.end(), paths.start.begin());
  paths.links.resize(2 * forest.size());
  for (const Edge& e : forest) {
    const bool flip = dot(planes[e.a].normal, planes[e.b].normal) < 0;
    paths.links[paths.start[e.a + 1]++] = {e.b, flip};
    paths.links[paths.start[e.b + 1]++] = {e.a, flip};
  }
  return paths;
}

// Turns normals to one side along the smoothest paths between neighbors, each connected part with its mean
// normal up, as floors, tables and fields are.
void orient(const std::vector<Edge>& edges, std::vector<Plane>& planes) {
  const Links paths = smoothest_paths(edges, planes);
  std::vector<int8_t> sign(planes.size(), 0);
  std::vector<int32_t> part;
  for (int32_t root = 0; root < static_cast<int32_t>(planes.size()); ++root) {
    if (sign[root]) continue;
    part.assign(1, root);
    sign[root] = 1;
    double up = 0;
    for (size_t at = 0; at < part.size(); ++at) {
      const int32_t i = part[at];
      up += sign[i] * planes[i].normal.z;
      for (int32_t k = paths.start[i]; k < paths.start[i + 1]; ++k) {
        const Link link = paths.links[k];
        if (!sign[link.to]) sign[link.to] = link.flip ? -sign[i] : sign[i], part.push_back(link.to);
      }
    }
    for (int32_t i : part)
      if ((sign[i] > 0) == (up < 0)) planes[i].normal = Vec{0, 0, 0} - planes[i].normal;
  }
}

void weigh(const Grid& grid, const std::vector<Vec>& normals, const Settings& settings,
           std::vector<Edge>& edges, int threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
  for (int64_t k = 0; k < static_cast<int64_t>(edges.size()); ++k) {
    Edge& e = edges[k];
    const Vec na = normals[e.a], nb = normals[e.b];
    const float bend = std::clamp(1 - dot(na, nb), 0.0f, 1.0f);
    const bool convex = dot(na - nb, grid.points[e.a] - grid.points[e.b]) >= 0;
    e.weight = convex ? settings.convex * bend : bend;
    if (grid.colors.empty()) continue;
    const Vec step = grid.colors[e.a] - grid.colors[e.b];
    e.weight += settings.color * std::sqrt(dot(step, step));
  }
}

void merge(const std::vector<Edge>& edges, const Settings& settings, Segments& segments) {
  for (const Edge& e : edges) {
    int32_t a = segments.find(e.a), b = segments.find(e.b);
    if (a == b || e.weight > segments.limit[a] || e.weight > segments.limit[b]) continue;
    a = segments.join(a, b);
    segments.limit[a] = e.weight + settings.threshold / segments.size[a];
  }
  for (const Edge& e : edges) {
    const int32_t a = segments.find(e.a), b = segments.find(e.b);
    if (a != b && std::min(segments.size[a], segments.size[b]) < settings.min_voxels) segments.join(a, b);
  }
}

// Labels 0, 1, ... by first appearance in the input; returns their number.
int64_t number_segments(const Grid& grid, Segments& segments, int64_t* labels) {
  const int64_t count = static_cast<int64_t>(grid.order.size());
  for (int64_t i = 0; i < count; ++i) labels[grid.order[i]] = segments.find(static_cast<int32_t>(i));
  std::vector<int64_t> number(count, -1);
  int64_t found = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t& n = number[labels[i]];
    if (n < 0) n = found++;
    labels[i] = n;
  }
  return found;
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
    const std::vector<Neighbors> near = find_neighbors(grid, static_cast<int>(threads));
    std::vector<Plane> planes = fit_planes(grid, near, static_cast<int>(threads));
    std::vector<Edge> edges = find_edges(near, settings.edges);
    orient(edges, planes);
    weigh(grid, sharpen(grid, near, planes, static_cast<int>(threads)), settings, edges,
          static_cast<int>(threads));
    Segments segments(n, settings.threshold);
    merge(sort_edges(edges), settings, segments);
    *count = number_segments(grid, segments, labels);
    return kFine;
  });
}
