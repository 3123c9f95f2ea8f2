// SPDX-License-Identifier: Apache-2.0
// Exact farthest point sampling and ball query. Blocks of points whose bounding box is too far away are left
// out; rounding is monotone, so a box's distance, computed like a point's, never exceeds that of a point inside.

// A fused multiply-add rounds differently from the plain operations of the reference.
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace {

constexpr int64_t kBlock = 64;

struct Points {
    std::vector<float> x, y, z;

    explicit Points(int64_t count) : x(count), y(count), z(count) {}
    int64_t size() const { return static_cast<int64_t>(x.size()); }
    void set(int64_t i, const float* p) { x[i] = p[0], y[i] = p[1], z[i] = p[2]; }
};

struct Box {
    float low[3], high[3];

    float axis_gap(int axis, float v) const { return std::max(std::max(low[axis] - v, v - high[axis]), 0.0f); }
    float squared_distance(const float* p) const {
        const float dx = axis_gap(0, p[0]), dy = axis_gap(1, p[1]), dz = axis_gap(2, p[2]);
        return (dx * dx + dy * dy) + dz * dz;
    }
};

Box bound(const Points& points, int64_t begin, int64_t end) {
    const std::vector<float>* axes[3] = {&points.x, &points.y, &points.z};
    Box box;
    for (int axis = 0; axis < 3; ++axis) {
        const auto [low, high] = std::minmax_element(axes[axis]->begin() + begin, axes[axis]->begin() + end);
        box.low[axis] = *low, box.high[axis] = *high;
    }
    return box;
}

std::vector<Box> bound_blocks(const Points& points) {
    std::vector<Box> boxes;
    for (int64_t begin = 0; begin < points.size(); begin += kBlock)
        boxes.push_back(bound(points, begin, std::min(begin + kBlock, points.size())));
    return boxes;
}

void squared_distances(const Points& points, int64_t begin, int64_t end, const float* p, float* out) {
    const float *x = points.x.data(), *y = points.y.data(), *z = points.z.data();
    for (int64_t i = begin; i < end; ++i) {
        const float dx = x[i] - p[0], dy = y[i] - p[1], dz = z[i] - p[2];
        out[i - begin] = (dx * dx + dy * dy) + dz * dz;
    }
}

uint64_t spread_bits(uint64_t v) {
    v = (v | v << 16) & 0x030000FF;
    v = (v | v << 8) & 0x0300F00F;
    v = (v | v << 4) & 0x030C30C3;
    return (v | v << 2) & 0x09249249;
}

// Indices of the points that are not skipped, along a Morton curve, so that blocks are compact.
std::vector<int64_t> morton_order(const float* xyz, const uint8_t* skip, int64_t count) {
    float low[3], scale[3];
    for (int axis = 0; axis < 3; ++axis) {
        float least = xyz[axis], most = xyz[axis];
        for (int64_t i = 1; i < count; ++i) {
            least = std::min(least, xyz[3 * i + axis]);
            most = std::max(most, xyz[3 * i + axis]);
        }
        low[axis] = least;
        scale[axis] = most > least ? 1023.0f / (most - least) : 0.0f;
    }
    std::vector<std::pair<uint64_t, int64_t>> codes;
    codes.reserve(count);
    for (int64_t i = 0; i < count; ++i) {
        if (skip != nullptr && skip[i]) continue;
        uint64_t code = 0;
        for (int axis = 0; axis < 3; ++axis)
            code |= spread_bits(static_cast<uint64_t>((xyz[3 * i + axis] - low[axis]) * scale[axis])) << axis;
        codes.emplace_back(code, i);
    }
    std::sort(codes.begin(), codes.end());
    std::vector<int64_t> order;
    order.reserve(codes.size());
    for (const auto& code : codes) order.push_back(code.second);
    return order;
}

// Points along a curve with the squared distance of each to the samples so far.
struct Candidates {
    struct Best {
        float distance;
        int64_t index;

        bool before(const Best& o) const { return distance != o.distance ? distance > o.distance : index < o.index; }
    };

    std::vector<int64_t> order;
    Points points;
    std::vector<float> distance;
    std::vector<Box> boxes;
    std::vector<Best> best;                     // of each block

    Candidates(const float* xyz, std::vector<int64_t> curve)
        : order(std::move(curve)), points(static_cast<int64_t>(order.size())),
          distance(order.size(), std::numeric_limits<float>::infinity()) {
        for (int64_t i = 0; i < points.size(); ++i) points.set(i, xyz + 3 * order[i]);
        boxes = bound_blocks(points);
        best.assign(boxes.size(), {std::numeric_limits<float>::infinity(), 0});
    }

    void update_block(int64_t block, const float* sample) {
        const int64_t begin = block * kBlock, end = std::min(begin + kBlock, points.size());
        float fresh[kBlock];
        squared_distances(points, begin, end, sample, fresh);
        float most = -1;
        for (int64_t i = begin; i < end; ++i) {
            distance[i] = std::min(distance[i], fresh[i - begin]);
            most = std::max(most, distance[i]);
        }
        best[block] = {most, std::numeric_limits<int64_t>::max()};
        for (int64_t i = begin; i < end; ++i)
            if (distance[i] == most) best[block].index = std::min(best[block].index, order[i]);
    }

    // Takes one more sample into account and returns the point that is then farthest, 0 if there is none.
    int64_t farthest_after(const float* sample) {
        Best farthest{-1, 0};
        for (int64_t block = 0; block < static_cast<int64_t>(boxes.size()); ++block) {
            if (boxes[block].squared_distance(sample) < best[block].distance) update_block(block, sample);
            if (best[block].before(farthest)) farthest = best[block];
        }
        return farthest.index;
    }
};

void query_ball(const Points& points, const std::vector<Box>& boxes, const float* query, float squared_radius, int64_t k,
                int64_t* out) {
    int64_t hits = 0;
    float distance[kBlock];
    for (int64_t block = 0; block < static_cast<int64_t>(boxes.size()) && hits < k; ++block) {
        if (!(boxes[block].squared_distance(query) < squared_radius)) continue;
        const int64_t begin = block * kBlock, end = std::min(begin + kBlock, points.size());
        squared_distances(points, begin, end, query, distance);
        for (int64_t i = begin; i < end && hits < k; ++i)
            if (distance[i - begin] < squared_radius) out[hits++] = i;
    }
    std::fill(out + hits, out + k, hits > 0 ? out[0] : 0);
}

}  // namespace

// xyz (count, 3), skip (count) or null, out (n): indices of points.
extern "C" void farthest_points(const float* xyz, int64_t count, const uint8_t* skip, int64_t first, int64_t n,
                                int64_t* out) {
    Candidates candidates(xyz, morton_order(xyz, skip, count));
    int64_t next = first;
    for (int64_t i = 0; i < n; ++i) {
        out[i] = next;
        if (i + 1 < n) next = candidates.farthest_after(xyz + 3 * next);
    }
}

// xyz (count, 3), queries (n, 3), out (n, k): indices of points.
extern "C" void ball_query(const float* xyz, int64_t count, const float* queries, int64_t n, float radius, int64_t k,
                           int64_t* out, int64_t threads) {
    Points points(count);
    for (int64_t i = 0; i < count; ++i) points.set(i, xyz + 3 * i);
    const std::vector<Box> boxes = bound_blocks(points);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
    for (int64_t i = 0; i < n; ++i) query_ball(points, boxes, queries + 3 * i, radius * radius, k, out + k * i);
}
