// SPDX-License-Identifier: Apache-2.0
// Planes among the points of a sample (RANSAC, Fischler and Bolles 1981), and the points that lie on surfaces near planes.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "sort.h"

namespace {

constexpr float kFarthest = 1e4f;               // metres along an axis; squares of these are still precise
constexpr int kHypotheses = 512;                // planes through three points, for each plane that is found
constexpr int kScored = 512;                    // points that all hypotheses are compared on
constexpr int kFinalists = 8;                   // the best of them are compared on all points
constexpr int kFits = 4;                        // rounds of least squares on the inliers
constexpr std::array<int64_t, 3> kWindows = {24, 96, 384};  // points of a hypothesis lie so near in Morton order
constexpr float kTaken = 2;                     // points within so many tolerances are not searched for further planes

struct Plane {
    float x = 0, y = 0, z = 0, offset = 0;
    float distance(float px, float py, float pz) const { return x * px + y * py + z * pz + offset; }
};

// Points as columns, so that the compiler vectorizes loops over them.
struct Columns {
    std::vector<float> x, y, z, tolerance;
    std::vector<int32_t> row;                   // in the columns of all points
    int64_t size() const { return static_cast<int64_t>(x.size()); }

    void add(const Columns& from, int64_t i) {
        x.push_back(from.x[i]), y.push_back(from.y[i]), z.push_back(from.z[i]);
        tolerance.push_back(from.tolerance[i]), row.push_back(from.row[i]);
    }
};

constexpr int kCells = 48;                      // a plane is seen in some of 48 by 48 cells
constexpr float kFinestCell = 0.02f;            // metres
constexpr int kFewestNeighbours = 3;            // cells of 3 by 3 that are seen where the middle one counts as seen
constexpr float kSurroundings = 3;              // tolerances up to which points are compared with those on the plane
constexpr float kMostHeight = 0.5f;             // metres: what is higher does not stand on the plane
constexpr float kDeepest = 0.2f;                // metres: what is further below is no part of the same heap
constexpr float kNearHeight = 0.15f;            // metres: what is so high counts 1/e of what touches the plane

constexpr float kParallel = 0.985f;             // cosine between the normals of parallel planes, at least
constexpr float kLargeThing = 0.25f;            // metres: shorter side of a plane that carries things rather than being one

// A small generator with a fixed seed: results repeat.
struct Random {
    uint64_t state = 0x9E3779B97F4A7C15u;
    int64_t below(int64_t n) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(n));
    }
};

// Bits of v with two zeros after each.
uint64_t spread(uint64_t v) {
    v = (v | v << 16) & 0x030000FF;
    v = (v | v << 8) & 0x0300F00F;
    v = (v | v << 4) & 0x030C30C3;
    return (v | v << 2) & 0x09249249;
}

// The points in Morton order: near in the order is near in space.
Columns in_morton_order(const float* xyz, const float* tolerance, int64_t n) {
    float low[3], scale[3];
    for (int axis = 0; axis < 3; ++axis) {
        float high = low[axis] = xyz[axis];
        for (int64_t i = 1; i < n; ++i)
            low[axis] = std::min(low[axis], xyz[3 * i + axis]), high = std::max(high, xyz[3 * i + axis]);
        scale[axis] = high > low[axis] ? 1023 / (high - low[axis]) : 0;
    }
    const float finest = std::min({scale[0], scale[1], scale[2]});
    std::vector<uint64_t> keys(n);
    std::vector<int32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = 0; i < n; ++i) {
        uint64_t key = 0;
        for (int axis = 0; axis < 3; ++axis)
            key |= spread(static_cast<uint64_t>((xyz[3 * i + axis] - low[axis]) * finest)) << axis;
        keys[i] = key;
    }
    radix_sort(keys, order);
    Columns points;
    for (int32_t i : order) {
        points.x.push_back(xyz[3 * i]), points.y.push_back(xyz[3 * i + 1]), points.z.push_back(xyz[3 * i + 2]);
        points.tolerance.push_back(tolerance[i]), points.row.push_back(static_cast<int32_t>(points.row.size()));
    }
    return points;
}

int64_t count_inliers(const Columns& p, const Plane& plane) {
    int32_t count = 0;
    const int64_t n = p.size();
    for (int64_t i = 0; i < n; ++i)
        count += std::abs(plane.distance(p.x[i], p.y[i], p.z[i])) <= p.tolerance[i];
    return count;
}

// The plane through three points; a plane without a normal where they are on a line.
Plane through(const Columns& p, int64_t a, int64_t b, int64_t c) {
    const float ux = p.x[b] - p.x[a], uy = p.y[b] - p.y[a], uz = p.z[b] - p.z[a];
    const float vx = p.x[c] - p.x[a], vy = p.y[c] - p.y[a], vz = p.z[c] - p.z[a];
    Plane plane{uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx, 0};
    const float length = std::sqrt(plane.x * plane.x + plane.y * plane.y + plane.z * plane.z);
    const float sides = std::sqrt((ux * ux + uy * uy + uz * uz) * (vx * vx + vy * vy + vz * vz));
    if (!(length > 1e-3f * sides)) return {};
    plane.x /= length, plane.y /= length, plane.z /= length;
    plane.offset = -(plane.x * p.x[a] + plane.y * p.y[a] + plane.z * p.z[a]);
    return plane;
}

// Unit eigenvector of the least eigenvalue of a symmetric matrix {xx, xy, xz, yy, yz, zz} (Jacobi rotations).
std::array<double, 3> least_eigenvector(const std::array<double, 6>& m) {
    double a[3][3] = {{m[0], m[1], m[2]}, {m[1], m[3], m[4]}, {m[2], m[4], m[5]}};
    double v[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    for (int sweep = 0; sweep < 12; ++sweep)
        for (int p = 0; p < 2; ++p)
            for (int q = p + 1; q < 3; ++q) {
                if (std::abs(a[p][q]) < 1e-30) continue;
                const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
                const double c = 1 / std::sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < 3; ++k) {
                    const double kp = a[k][p], kq = a[k][q];
                    a[k][p] = c * kp - s * kq, a[k][q] = s * kp + c * kq;
                }
                for (int k = 0; k < 3; ++k) {
                    const double pk = a[p][k], qk = a[q][k], vp = v[k][p], vq = v[k][q];
                    a[p][k] = c * pk - s * qk, a[q][k] = s * pk + c * qk;
                    v[k][p] = c * vp - s * vq, v[k][q] = s * vp + c * vq;
                }
            }
    int least = 0;
    for (int i = 1; i < 3; ++i)
        if (a[i][i] < a[least][least]) least = i;
    return {v[0][least], v[1][least], v[2][least]};
}

// Least squares plane of the inliers; the plane itself where there are too few.
Plane fit(const Columns& p, const Plane& plane) {
    double sum[3] = {0, 0, 0};
    int64_t count = 0;
    std::vector<int32_t> inliers;
    for (int64_t i = 0; i < p.size(); ++i)
        if (std::abs(plane.distance(p.x[i], p.y[i], p.z[i])) <= p.tolerance[i]) {
            sum[0] += p.x[i], sum[1] += p.y[i], sum[2] += p.z[i], ++count;
            inliers.push_back(static_cast<int32_t>(i));
        }
    if (count < 3) return plane;
    const double mean[3] = {sum[0] / count, sum[1] / count, sum[2] / count};
    std::array<double, 6> m{};
    for (int32_t i : inliers) {
        const double x = p.x[i] - mean[0], y = p.y[i] - mean[1], z = p.z[i] - mean[2];
        m[0] += x * x, m[1] += x * y, m[2] += x * z, m[3] += y * y, m[4] += y * z, m[5] += z * z;
    }
    const auto normal = least_eigenvector(m);
    const double offset = -(normal[0] * mean[0] + normal[1] * mean[1] + normal[2] * mean[2]);
    return {static_cast<float>(normal[0]), static_cast<float>(normal[1]), static_cast<float>(normal[2]),
            static_cast<float>(offset)};
}

Columns every(const Columns& points, int64_t count) {
    Columns few;
    const int64_t n = points.size();
    for (int64_t i = 0; i < std::min(count, n); ++i) few.add(points, i * n / std::min(count, n));
    return few;
}

Plane random_plane(const Columns& points, int64_t window, Random& random) {
    const int64_t n = points.size(), width = std::min(window, n), start = random.below(n - width + 1);
    const int64_t a = start + random.below(width), b = start + random.below(width), c = start + random.below(width);
    return through(points, a, b, c);
}

// The plane with most inliers.
Plane best_plane(const Columns& points, Random& random) {
    const Columns few = every(points, kScored);
    std::vector<std::pair<int64_t, Plane>> hypotheses;
    for (int h = 0; h < kHypotheses; ++h) {
        const Plane plane = random_plane(points, kWindows[h % kWindows.size()], random);
        if (plane.x == 0 && plane.y == 0 && plane.z == 0) continue;
        hypotheses.emplace_back(count_inliers(few, plane), plane);
    }
    const auto better = [](const auto& a, const auto& b) { return a.first > b.first; };
    std::stable_sort(hypotheses.begin(), hypotheses.end(), better);
    if (hypotheses.size() > kFinalists) hypotheses.resize(kFinalists);
    for (auto& [count, plane] : hypotheses) {
        plane = fit(few, fit(few, plane));
        count = count_inliers(points, plane);
    }
    std::stable_sort(hypotheses.begin(), hypotheses.end(), better);
    if (hypotheses.empty()) return {};
    Plane best = hypotheses[0].second;
    for (int round = 0; round < kFits; ++round) best = fit(points, best);
    return best;
}

// Where points were seen on a plane, and what stands on it; as sphmask_core/method/planes.py reads it, in floats.
struct Patch {
    float normal[3], offset;                    // towards the sensor
    float axes[6];                              // in the plane: along the longer side, along the shorter side
    float low[2], cell;                         // corner of the cells and their edge
    float share;                                // of all points, those on the plane
    float extent[2];                            // longer and shorter side of its largest connected part
    float middle[2];                            // of its rectangle, along the axes
    float compactness;                          // of that rectangle, what is seen
    float center[3];                            // mean of the points on the plane
    float gathered;                             // of the points around the plane, those on it
    float whole;                                // of the points on it and those seen below it through gaps, those on it
    float things;                               // share of the points that stand on it, near ones counting more; those
                                                // of other large planes parallel to it do not count
};

using Cells = std::array<uint8_t, kCells * kCells>;  // columns, rows

float along(const float* axis, const Columns& p, int64_t i) {
    return axis[0] * p.x[i] + axis[1] * p.y[i] + axis[2] * p.z[i];
}

// Sets the axes: at right angles to the normal, along the first the points spread most.
void set_axes(Patch& patch, const Columns& on) {
    const float* n = patch.normal;
    const int least = std::abs(n[0]) <= std::abs(n[1]) ? (std::abs(n[0]) <= std::abs(n[2]) ? 0 : 2)
                                                       : (std::abs(n[1]) <= std::abs(n[2]) ? 1 : 2);
    float u[3], v[3];
    const float length = std::sqrt(1 - n[least] * n[least]);
    for (int k = 0; k < 3; ++k) u[k] = ((k == least) - n[least] * n[k]) / length;
    for (int k = 0; k < 3; ++k) v[k] = n[(k + 1) % 3] * u[(k + 2) % 3] - n[(k + 2) % 3] * u[(k + 1) % 3];
    const float cu = u[0] * patch.center[0] + u[1] * patch.center[1] + u[2] * patch.center[2];
    const float cv = v[0] * patch.center[0] + v[1] * patch.center[1] + v[2] * patch.center[2];
    double uu = 0, uv = 0, vv = 0;
    for (int64_t i = 0; i < on.size(); ++i) {
        const float a = along(u, on, i) - cu, b = along(v, on, i) - cv;
        uu += a * a, uv += a * b, vv += b * b;
    }
    const double angle = 0.5 * std::atan2(2 * uv, uu - vv);
    const float c = static_cast<float>(std::cos(angle)), s = static_cast<float>(std::sin(angle));
    for (int k = 0; k < 3; ++k) patch.axes[k] = c * u[k] + s * v[k], patch.axes[3 + k] = c * v[k] - s * u[k];
}

// Sets corner and edge of the cells.
void set_cells(Patch& patch, const Columns& on) {
    float range[2];
    for (int axis = 0; axis < 2; ++axis) {
        float low = along(patch.axes + 3 * axis, on, 0), high = low;
        for (int64_t i = 1; i < on.size(); ++i) {
            const float foot = along(patch.axes + 3 * axis, on, i);
            low = std::min(low, foot), high = std::max(high, foot);
        }
        patch.low[axis] = low, range[axis] = high - low;
    }
    patch.cell = std::max(kFinestCell, std::max(range[0], range[1]) / (kCells - 0.5f));
}

// The cell of a point's foot on the plane, -1 outside.
int32_t cell_of(const Patch& patch, const Columns& p, int64_t i) {
    const float column = std::floor((along(patch.axes, p, i) - patch.low[0]) / patch.cell);
    const float row = std::floor((along(patch.axes + 3, p, i) - patch.low[1]) / patch.cell);
    if (!(column >= 0 && row >= 0 && column < kCells && row < kCells)) return -1;
    return static_cast<int32_t>(column) * kCells + static_cast<int32_t>(row);
}

// Of 3 by 3 cells around one, those that are set.
int neighbours(const Cells& cells, int column, int row) {
    int count = 0;
    for (int c = std::max(column - 1, 0); c <= std::min(column + 1, kCells - 1); ++c)
        for (int r = std::max(row - 1, 0); r <= std::min(row + 1, kCells - 1); ++r) count += cells[c * kCells + r];
    return count;
}

Cells seen_cells(const Patch& patch, const Columns& on) {
    Cells any{}, seen{};
    for (int64_t i = 0; i < on.size(); ++i)
        if (const int32_t cell = cell_of(patch, on, i); cell >= 0) any[cell] = 1;
    for (int c = 0; c < kCells; ++c)
        for (int r = 0; r < kCells; ++r)
            seen[c * kCells + r] = any[c * kCells + r] && neighbours(any, c, r) >= kFewestNeighbours;
    return seen;
}

struct Part {
    int cells = 0, low[2] = {kCells, kCells}, high[2] = {-1, -1};
};

// The cells connected with one, over gaps of a cell; takes them out of `left`.
Part take_part(Cells& left, int start) {
    Part part;
    std::vector<int> open = {start};
    left[start] = 0;
    while (!open.empty()) {
        const int at[2] = {open.back() / kCells, open.back() % kCells};
        open.pop_back();
        ++part.cells;
        for (int axis = 0; axis < 2; ++axis)
            part.low[axis] = std::min(part.low[axis], at[axis]), part.high[axis] = std::max(part.high[axis], at[axis]);
        for (int c = std::max(at[0] - 2, 0); c <= std::min(at[0] + 2, kCells - 1); ++c)
            for (int r = std::max(at[1] - 2, 0); r <= std::min(at[1] + 2, kCells - 1); ++r)
                if (left[c * kCells + r]) left[c * kCells + r] = 0, open.push_back(c * kCells + r);
    }
    return part;
}

// Sets the extent, and whether its rectangle is full.
void set_extent(Patch& patch, const Cells& seen) {
    Cells left = seen;
    Part largest;
    for (int cell = 0; cell < kCells * kCells; ++cell)
        if (left[cell])
            if (const Part part = take_part(left, cell); part.cells > largest.cells) largest = part;
    if (largest.cells == 0) return;
    float sides[2];
    for (int axis = 0; axis < 2; ++axis) sides[axis] = (largest.high[axis] - largest.low[axis] + 1) * patch.cell;
    patch.compactness = largest.cells * patch.cell * patch.cell / (sides[0] * sides[1]);
    for (int axis = 0; axis < 2; ++axis)
        patch.middle[axis] = patch.low[axis] + 0.5f * (largest.high[axis] + largest.low[axis] + 1) * patch.cell;
    patch.extent[0] = sides[0], patch.extent[1] = sides[1];
}

// Sets all cells of a line (every `step`-th) between two that are set in `seen`.
void fill_line(const Cells& seen, int start, int step, Cells& filled) {
    int first = kCells, last = -1;
    for (int k = 0; k < kCells; ++k)
        if (seen[start + k * step]) first = std::min(first, k), last = k;
    for (int k = first; k <= last; ++k) filled[start + k * step] = 1;
}

// Cells seen, and all between two of them in a row or a column.
Cells fill(const Cells& seen) {
    Cells filled{};
    for (int k = 0; k < kCells; ++k) fill_line(seen, k * kCells, 1, filled), fill_line(seen, k, kCells, filled);
    return filled;
}

bool parallel(const Patch& a, const Patch& b) {
    const float* m = a.normal;
    const float* n = b.normal;
    return m[0] * n[0] + m[1] * n[1] + m[2] * n[2] > kParallel;
}

// Sets what all points tell about plane `own`; owner: of each point, the plane it is on, -1 for none.
void set_surroundings(std::vector<Patch>& patches, int32_t own, const Columns& all, const std::vector<int32_t>& owner,
                      const Cells& seen) {
    Patch& patch = patches[own];
    const Plane plane{patch.normal[0], patch.normal[1], patch.normal[2], patch.offset};
    std::vector<uint8_t> thing(patches.size() + 1, 1);  // the last one: points on no plane
    for (size_t k = 0; k < patches.size(); ++k)
        thing[k] = !(parallel(patch, patches[k]) && std::min(patches[k].extent[0], patches[k].extent[1]) > kLargeThing);
    const Cells filled = fill(seen);
    const int64_t n = all.size();
    double things = 0;
    int64_t on = 0, around = 0, below = 0;
    for (int64_t i = 0; i < n; ++i) {
        const float height = plane.distance(all.x[i], all.y[i], all.z[i]), tolerance = all.tolerance[i];
        if (height > std::max(kMostHeight, kSurroundings * tolerance)) continue;
        const int32_t cell = cell_of(patch, all, i);
        if (cell < 0) continue;
        below += height < -tolerance && height > -kDeepest && filled[cell] && !seen[cell];
        if (seen[cell] && std::abs(height) < kSurroundings * tolerance) ++around, on += std::abs(height) < tolerance;
        if (filled[cell] && height > kTaken * tolerance && height < kMostHeight && thing[owner[i] < 0 ? patches.size() : owner[i]])
            things += std::exp(-height / kNearHeight);
    }
    patch.gathered = static_cast<float>(on) / static_cast<float>(std::max<int64_t>(around, 1));
    patch.whole = static_cast<float>(on) / static_cast<float>(std::max<int64_t>(on + below, 1));
    patch.things = static_cast<float>(things / static_cast<double>(n));
}

// The patch of a plane, but for its surroundings; `on`: its points, of `total`.
Patch make_patch(const Plane& plane, const Columns& on, int64_t total, Cells& seen) {
    Patch patch{};
    patch.normal[0] = plane.x, patch.normal[1] = plane.y, patch.normal[2] = plane.z, patch.offset = plane.offset;
    patch.share = static_cast<float>(on.size()) / static_cast<float>(total);
    double sum[3] = {0, 0, 0};
    for (int64_t i = 0; i < on.size(); ++i) sum[0] += on.x[i], sum[1] += on.y[i], sum[2] += on.z[i];
    for (int k = 0; k < 3; ++k) patch.center[k] = static_cast<float>(sum[k] / static_cast<double>(on.size()));
    set_axes(patch, on);
    set_cells(patch, on);
    seen = seen_cells(patch, on);
    set_extent(patch, seen);
    return patch;
}

}  // namespace

extern "C" {

// out (at most `most`, 3): points, finite and not absurdly far, of xyz (n, 3), one of each of `most` runs of rows, as `jitter` (most) in [0, 1)
// says, or every point where there are no more. Returns how many.
int64_t sphmask_sample(const float* xyz, int64_t n, const double* jitter, int64_t most, float* out) {
    int64_t count = 0;
    for (int64_t i = 0; i < std::min(n, most); ++i) {
        const int64_t row = n <= most ? i : static_cast<int64_t>((static_cast<double>(i) + jitter[i]) *
                                                                 static_cast<double>(n) / static_cast<double>(most));
        const float* p = xyz + 3 * std::min(row, n - 1);
        if (!(std::abs(p[0]) < kFarthest && std::abs(p[1]) < kFarthest && std::abs(p[2]) < kFarthest)) continue;
        std::copy_n(p, 3, out + 3 * count++);
    }
    return count;
}

// The largest plane of the points xyz (n, 3), then the largest of the points that are left, and so on, until `most`
// or until one has fewer than `fewest` points. tolerance (n): how far from a plane its points may be.
// patches (most): struct Patch; seen (most, kCells, kCells): where points of each plane were seen. Returns their number.
int64_t sphmask_planes(const float* xyz, const float* tolerance, int64_t n, int64_t most, int64_t fewest, float* patches,
                       uint8_t* seen) {
    fewest = std::max<int64_t>(fewest, 3);
    if (n < fewest) return 0;
    const Columns all = in_morton_order(xyz, tolerance, n);
    std::vector<int32_t> owner(n, -1);
    std::vector<Patch> found;
    std::vector<Cells> cells;
    Columns points = all;
    Random random;
    while (static_cast<int64_t>(found.size()) < most && points.size() >= fewest) {
        Plane plane = best_plane(points, random);
        if ((plane.x == 0 && plane.y == 0 && plane.z == 0) || count_inliers(points, plane) < fewest) break;
        if (plane.offset < 0) plane = {-plane.x, -plane.y, -plane.z, -plane.offset};
        Columns on, rest;
        for (int64_t i = 0; i < points.size(); ++i) {
            const float distance = std::abs(plane.distance(points.x[i], points.y[i], points.z[i]));
            if (distance <= points.tolerance[i]) on.add(points, i), owner[points.row[i]] = static_cast<int32_t>(found.size());
            if (distance > kTaken * points.tolerance[i]) rest.add(points, i);
        }
        found.push_back(make_patch(plane, on, n, cells.emplace_back()));
        points = std::move(rest);
    }
    for (size_t k = 0; k < found.size(); ++k) {
        set_surroundings(found, static_cast<int32_t>(k), all, owner, cells[k]);
        reinterpret_cast<Patch*>(patches)[k] = found[k];
        std::copy(cells[k].begin(), cells[k].end(), seen + k * kCells * kCells);
    }
    return static_cast<int64_t>(found.size());
}

}  // extern "C"

// ---- points on surfaces ----
namespace {

constexpr int kBlock = 64;                      // points that are looked at together
constexpr int kTerms = 10;                      // of a cubic in two variables
constexpr int kCovered = kCells + 4;            // cells in a row, with one more that a surface may cover, and a free one
constexpr int kArea = kCovered * kCovered;
constexpr int32_t kNowhere = 65535;
constexpr float kGapSteps = 1e5f;               // gaps are kept in steps of 0.01 mm, so that sums do not depend on order
constexpr float kMostGap = 0.3f;                // metres
constexpr int kFewestPoints = 5;                // of a cell whose mean gap tells anything
constexpr float kDeviation = 1.4826f;           // of a normal distribution, over its median absolute deviation

// As sphmask_core/method/supports.py fills it, in floats.
struct Surface {
    float normal[3], offset;                    // height over the plane
    float u[3], v[3];                           // axes in the plane
    float middle[2], scale[2];                  // (foot - middle) scale is from -1 to 1 in its extent
    float cubic[kTerms];                        // height of the surface over the plane
    float noise;                                // a point's height is uncertain by this, times its distance squared
    float above, above_most, below;             // metres: the least and the most that is left out above, and below
    float raised, raised_deviations;            // a cell whose points are by so much too high on average holds something
                                                // flat: metres, and deviations of all cells' means
    float low[2], finer;                        // corner of the cells of its extent, and one over their edge
};

struct Block {
    float x[kBlock], y[kBlock], z[kBlock];
    int32_t place[kBlock];                      // cell, of all surfaces' one after the other; kNowhere on none
    int32_t gap[kBlock];                        // steps above the surface
    int32_t counted[kBlock];                    // cell whose mean the point counts for, 0 for none
};

float dot(const float* axis, float x, float y, float z) { return axis[0] * x + axis[1] * y + axis[2] * z; }
float clamp(float value, float most) { return std::min(std::max(value, -most), most); }

// Places the points of a block that are on a surface and on none before. covered (kArea): 0, or -1 for a cell that the
// surface covers; first: the surface's first cell.
void measure(const Surface& s, const int32_t* covered, int32_t first, Block& b) {
#pragma omp simd
    for (int i = 0; i < kBlock; ++i) {
        const float x = b.x[i], y = b.y[i], z = b.z[i];
        const float u = dot(s.u, x, y, z), v = dot(s.v, x, y, z);
        const float p = clamp((u - s.middle[0]) * s.scale[0], 1), q = clamp((v - s.middle[1]) * s.scale[1], 1);
        const float* c = s.cubic;
        const float along = c[0] + p * (c[1] + p * (c[3] + p * c[6]));
        const float across = c[2] + p * (c[4] + p * c[7]) + q * (c[5] + p * c[8] + q * c[9]);
        const float gap = dot(s.normal, x, y, z) + s.offset - (along + q * across);
        const float above = std::min(std::max(s.noise * (x * x + y * y + z * z), s.above), s.above_most);
        const float column = (u - s.low[0]) * s.finer, row = (v - s.low[1]) * s.finer;
        const bool on = (gap <= above) & (gap >= -std::max(s.below, above)) & (column >= 0) & (row >= 0) &
                        (column < kCovered) & (row < kCovered);
        const int32_t cell = static_cast<int32_t>(on ? column : 0.0f) * kCovered + static_cast<int32_t>(on ? row : 0.0f);
        const int32_t take = covered[cell] & -static_cast<int32_t>(b.place[i] == kNowhere);  // all bits or none
        b.place[i] = (take & (first + cell)) | (~take & b.place[i]);
        b.gap[i] = (take & static_cast<int32_t>((on ? clamp(gap, kMostGap) : 0.0f) * kGapSteps)) | (~take & b.gap[i]);
        b.counted[i] |= take & -static_cast<int32_t>(gap >= -above) & (first + cell);
    }
}

// Sums of the gaps of the points of each cell.
struct Means {
    std::vector<int64_t> sums, counts;
    explicit Means(int64_t surfaces) : sums(surfaces * kArea), counts(surfaces * kArea) {}

    void add(const Means& other) {
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += other.sums[i], counts[i] += other.counts[i];
    }
    bool tells(int64_t cell) const { return cell % kArea != 0 && counts[cell] >= kFewestPoints; }
    float gap(int64_t cell) const { return static_cast<float>(sums[cell]) / (kGapSteps * static_cast<float>(counts[cell])); }
};

float median(std::vector<float>& values) {
    std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
    return values[values.size() / 2];
}

// How high the mean of a cell of a surface must be, metres, for something flat to lie there.
float raised_from(const Surface& s, const Means& means, int64_t first) {
    std::vector<float> gaps;
    for (int64_t cell = first; cell < first + kArea; ++cell)
        if (means.tells(cell)) gaps.push_back(means.gap(cell));
    if (gaps.empty()) return s.raised;
    const float middle = median(gaps);
    for (float& gap : gaps) gap = std::abs(gap - middle);
    return std::max(s.raised, s.raised_deviations * kDeviation * median(gaps));
}

// For each cell, steps of gap above which its points are not on the surface after all.
std::vector<int16_t> limits(const std::vector<Surface>& surfaces, const Means& means) {
    const int64_t count = static_cast<int64_t>(surfaces.size());
    std::vector<int16_t> steps(count * kArea, INT16_MAX);
    for (int64_t k = 0; k < count; ++k) {
        const float from = raised_from(surfaces[k], means, k * kArea);
        for (int64_t cell = k * kArea; cell < (k + 1) * kArea; ++cell)
            if (means.tells(cell) && means.gap(cell) > from)
                steps[cell] = static_cast<int16_t>(std::min(from / 2, kMostGap) * kGapSteps);
    }
    return steps;
}

Block load(const float* xyz, int size) {
    Block block;
    for (int i = 0; i < kBlock; ++i) {
        const float* p = xyz + 3 * std::min(i, size - 1);
        block.x[i] = p[0], block.y[i] = p[1], block.z[i] = p[2];
        block.place[i] = kNowhere, block.gap[i] = block.counted[i] = 0;
    }
    return block;
}

// Cell (of all surfaces' one after the other) and gap of each point on a surface, the first of several.
void place(const float* xyz, int64_t n, const std::vector<Surface>& surfaces, const std::vector<int32_t>& covered,
           uint16_t* places, int16_t* gaps, Means& means, int threads) {
    const int64_t count = static_cast<int64_t>(surfaces.size());
#pragma omp parallel num_threads(threads)
    {
        Means own(count);
#pragma omp for schedule(static)
        for (int64_t start = 0; start < n; start += kBlock) {
            const int size = static_cast<int>(std::min<int64_t>(kBlock, n - start));
            Block block = load(xyz + 3 * start, size);
            for (int64_t k = 0; k < count; ++k)
                measure(surfaces[k], covered.data() + k * kArea, static_cast<int32_t>(k * kArea), block);
            for (int i = 0; i < size; ++i) places[start + i] = static_cast<uint16_t>(block.place[i]);
            for (int i = 0; i < size; ++i) gaps[start + i] = static_cast<int16_t>(block.gap[i]);
            for (int i = 0; i < size; ++i) own.sums[block.counted[i]] += block.gap[i], ++own.counts[block.counted[i]];
        }
#pragma omp critical
        means.add(own);
    }
}

}  // namespace

extern "C" {

// marks[i] = whether point i of xyz (n, 3) lies on one of at most 24 surfaces, within the cells (count, kCovered,
// kCovered) that it covers, never the first one, and not on something flat. Points that are not finite lie on none.
void sphmask_on_surfaces(const float* xyz, int64_t n, const float* values, int64_t count, const uint8_t* covered,
                         uint8_t* marks, int64_t threads) {
    const Surface* first = reinterpret_cast<const Surface*>(values);
    const std::vector<Surface> surfaces(first, first + count);
    std::vector<int32_t> cells(count * kArea);
    for (int64_t cell = 0; cell < count * kArea; ++cell) cells[cell] = -static_cast<int32_t>(covered[cell]);
    std::vector<uint16_t> places(n);
    std::vector<int16_t> gaps(n);
    Means means(count);
    place(xyz, n, surfaces, cells, places.data(), gaps.data(), means, static_cast<int>(threads));
    const std::vector<int16_t> most = limits(surfaces, means);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
    for (int64_t i = 0; i < n; ++i) marks[i] = places[i] != kNowhere && gaps[i] <= most[places[i]];
}

}  // extern "C"
