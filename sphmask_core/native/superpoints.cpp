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
  const auto [value, direction] = smallest_eigenvector(m);
  const Vec normal = rounded(direction[0], direction[1], direction[2]), mean = rounded(x / n, y / n, z / n);
  return {normal, grid.points[i] + mean, static_cast<float>(std::sqrt(std::max(value / n, 0.0)))};
}

std::vector<Plane> fit_planes(const Grid& grid, const std::vector<Neighbors>& near, const Run& run) {
  std::vector<Plane> planes(near.size());
#pragma omp parallel for schedule(static) num_threads(run.threads)
  for (int64_t i = 0; i < static_cast<int64_t>(near.size()); ++i)
    if (!run.watch.off()) planes[i] = fit_plane(grid, near[i], i);
  run.watch.check();
  return planes;
}

// A neighborhood across an edge of a surface fits neither side: of the planes around, each voxel takes the
// normal of the one that fits best, its own points and the voxel.
std::vector<Vec> sharpen(const Grid& grid, const std::vector<Neighbors>& near,
                         const std::vector<Plane>& planes, const Run& run) {
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

std::vector<Edge> find_edges(const std::vector<Neighbors>& near, int64_t reach, const Watch& watch) {
  std::vector<Edge> edges;
  edges.reserve(near.size() * reach);
  auto holds = [&](int32_t a, int32_t b) {
    const Neighbors& n = near[a];
    const auto end = n.index.begin() + std::min<int64_t>(reach, n.count);
    return std::find(n.index.begin(), end, b) != end;
  };
  for (int32_t i = 0; i < static_cast<int32_t>(near.size()); ++i) {
    watch.check(i);
    for (int k = 0; k < std::min<int64_t>(reach, near[i].count); ++k) {
      const int32_t j = near[i].index[k];
      if (i < j || !holds(j, i)) edges.push_back({std::min(i, j), std::max(i, j), 0});
    }
  }
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
Links smoothest_paths(std::vector<Edge> edges, const std::vector<Plane>& planes, const Watch& watch) {
  for (Edge& e : edges) e.weight = 1 - std::abs(dot(planes[e.a].normal, planes[e.b].normal));
  Segments parts(planes.size(), 0);
  std::vector<Edge> forest;
  Links paths{std::vector<int32_t>(planes.size() + 2, 0), {}};
  watch.for_each(sort_edges(edges, watch), [&](const Edge& e) {
    const int32_t a = parts.find(e.a), b = parts.find(e.b);
    if (a == b) return;
    parts.join(a, b);
    forest.push_back(e);
    ++paths.start[e.a + 2], ++paths.start[e.b + 2];
  });
  std::partial_sum(paths.start.begin(), paths.start.end(), paths.start.begin());
  paths.links.resize(2 * forest.size());
  watch.for_each(forest, [&](const Edge& e) {
    const bool flip = dot(planes[e.a].normal, planes[e.b].normal) < 0;
    paths.links[paths.start[e.a + 1]++] = {e.b, flip};
    paths.links[paths.start[e.b + 1]++] = {e.a, flip};
  });
  return paths;
}

// Turns normals to one side along the smoothest paths between neighbors, each connected part with its mean
// normal up, as floors, tables and fields are.
void orient(const std::vector<Edge>& edges, std::vector<Plane>& planes, const Watch& watch) {
  const Links paths = smoothest_paths(edges, planes, watch);
  std::vector<int8_t> sign(planes.size(), 0);
  std::vector<int32_t> part;
  for (int32_t root = 0; root < static_cast<int32_t>(planes.size()); ++root) {
    if (sign[root]) continue;
    part.assign(1, root);
    sign[root] = 1;
    double up = 0;
    for (size_t at = 0; at < part.size(); ++at) {
      if (at > 0) watch.check(static_cast<int64_t>(at));  // most parts are a few voxels
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
  watch.for_each(edges, [&](const Edge& e) {
    int32_t a = segments.find(e.a), b = segments.find(e.b);
    if (a == b || e.weight > segments.limit[a] || e.weight > segments.limit[b]) return;
    a = segments.join(a, b);
    segments.limit[a] = e.weight + settings.threshold / segments.size[a];
  });
  watch.for_each(edges, [&](const Edge& e) {
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
    const std::vector<Neighbors> near = find_neighbors(grid, run);
    std::vector<Plane> planes = fit_planes(grid, near, run);
    std::vector<Edge> edges = find_edges(near, settings.edges, run.watch);
    orient(edges, planes, run.watch);
    weigh(grid, sharpen(grid, near, planes, run), settings, edges, run);
    Segments segments(n, settings.threshold);
    merge(sort_edges(edges, run.watch), settings, segments, run.watch);
    *count = number_segments(grid, segments, labels);
    return kFine;
  });
}
