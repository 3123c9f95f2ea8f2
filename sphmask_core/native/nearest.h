// SPDX-License-Identifier: Apache-2.0
// The nearest neighbors of each voxel of a cloud, and how they are spread.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

#include "grid.h"
#include "vectors.h"

namespace {

constexpr int kNearest = 20;  // voxels of a normal, beside the voxel itself

struct Neighbors {
  std::array<int32_t, kNearest> index;  // nearest first; -1 beyond `count`
  int32_t count;
};

// Sums of x, y, z, xx, xy, xz, yy, yz and zz.
using Moments = std::array<double, 9>;

// The voxels around one voxel, and which of them are nearest. Sorted keys make every column of the window one
// contiguous run. All is done for as many voxels as a vector holds, and without branches: the runs are so
// short that a loop over one would be foretold wrongly every other time.
class Window {
public:
  explicit Window(const Grid& grid) : grid_(grid) {
    for (int column = 0; column < kColumns; ++column) {
      const int64_t x = column / kSide - kReach, y = column % kSide - kReach;
      lowest_[column] = x * grid.stride_x + y * grid.stride_y - kReach;
    }
  }

  // Moves to voxel i, whose index is higher than that of the voxel before.
  void move(int64_t i) {
    if (first_) seek(i);
    first_ = false;
    gather(i);
    rank();
  }

  Neighbors nearest() const {
    std::array<int32_t, kRoom> sorted;
    sorted.fill(-1);
    for (int32_t k = 0; k < count_; ++k) sorted[place_[k]] = index_[k];
    Neighbors neighbors;
    std::copy_n(sorted.begin() + 1, kNearest, neighbors.index.begin());
    neighbors.count = last();
    return neighbors;
  }

  // Of the nearest and the voxel itself, as seen from it.
  Moments moments() const {
    Doubles sums[9] = {};
    for (int32_t k = 0; k < count_; k += kDoubles) {
      const auto chosen = load<HalfInts>(place_ + k) <= last();
      const Doubles x = widen(x_ + k, chosen), y = widen(y_ + k, chosen), z = widen(z_ + k, chosen);
      sums[0] += x, sums[1] += y, sums[2] += z;
      sums[3] += x * x, sums[4] += x * y, sums[5] += x * z;
      sums[6] += y * y, sums[7] += y * z, sums[8] += z * z;
    }
    Moments moments{};
    for (int s = 0; s < 9; ++s)
      for (int lane = 0; lane < kDoubles; ++lane) moments[s] += sums[s][lane];
    return moments;
  }

private:
  static constexpr int kColumns = kSide * kSide;
  static constexpr int32_t kInts = kVectorBytes / 4, kDoubles = kVectorBytes / 8;
  static constexpr int32_t kRoom = (kColumns * kSide + 15) / 16 * 16 + 16;  // a vector more than a window has

  static constexpr int32_t kFarthest =
      std::numeric_limits<int32_t>::max() - 1;  // beyond the bits of infinity

  // Of a column, which has kSide voxels at most and often one.
  static constexpr int kRunBytes = kVectorBytes < 4 * kAtOnce ? kVectorBytes : 4 * kAtOnce;
  static constexpr int kRunLanes = kRunBytes / 4;
  typedef int32_t RunInts __attribute__((vector_size(kRunBytes)));
  typedef float RunFloats __attribute__((vector_size(kRunBytes)));

  typedef int32_t Ints __attribute__((vector_size(kVectorBytes)));
  typedef int32_t HalfInts __attribute__((vector_size(kVectorBytes / 2)));
  typedef float HalfFloats __attribute__((vector_size(kVectorBytes / 2)));
  typedef double Doubles __attribute__((vector_size(kVectorBytes)));

  static constexpr int32_t kCounting[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

  template <typename Vector>
  static Vector load(const void* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
  }
  static Doubles widen(const float* from, HalfInts chosen) {
    return __builtin_convertvector(HalfFloats(load<HalfInts>(from) & chosen), Doubles);
  }

  int32_t last() const { return std::min(count_ - 1, kNearest); }

  void seek(int64_t i) {
    const auto& keys = grid_.keys;
    for (int column = 0; column < kColumns; ++column)
      start_[column] = std::lower_bound(keys.begin(), keys.end(), keys[i] + lowest_[column]) - keys.begin();
  }

  // Each column is written whole, and over what the one before wrote in excess.
  void gather(int64_t i) {
    const int64_t* const keys = grid_.keys.data();
    const float *const xs = grid_.x.data(), *const ys = grid_.y.data(), *const zs = grid_.z.data();
    const float x = xs[i], y = ys[i], z = zs[i];
    const int64_t key = keys[i];
    int64_t count = 0;
    for (int column = 0; column < kColumns; ++column) {
      const int64_t lowest = key + lowest_[column];
      const int64_t start = start_[column] = first_from(keys, start_[column], lowest);
      for (int k = 0; k < kAtOnce; k += kRunLanes) {
        const RunFloats dx = load<RunFloats>(xs + start + k) - x, dy = load<RunFloats>(ys + start + k) - y,
                        dz = load<RunFloats>(zs + start + k) - z, squared = dx * dx + dy * dy + dz * dz;
        const RunInts index = load<RunInts>(kCounting + k) + static_cast<int32_t>(start);
        const RunInts far = RunInts(squared) | (index == static_cast<int32_t>(i));
        std::memcpy(x_ + count + k, &dx, sizeof dx);
        std::memcpy(y_ + count + k, &dy, sizeof dy);
        std::memcpy(z_ + count + k, &dz, sizeof dz);
        std::memcpy(far_ + count + k, &far, sizeof far);
        std::memcpy(index_ + count + k, &index, sizeof index);
      }
      for (int k = 0; k < kSide; ++k) count += keys[start + k] < lowest + kSide;
    }
    count_ = static_cast<int32_t>(count);
  }

  // A voxel's place is the number of nearer ones, of equally near ones of lower index. What fills the last
  // vector is farther than all.
  void rank() {
    for (int32_t k = 0; k < kInts; ++k) far_[count_ + k] = kFarthest;
    for (int32_t first = 0; first < count_; first += kInts) {
      const Ints own = load<Ints>(far_ + first), lane = load<Ints>(kCounting);
      const int32_t end = std::min(first + kInts, count_);
      Ints place{};
      for (int32_t k = 0; k < first; ++k) place -= far_[k] <= own;
      for (int32_t k = first; k < end; ++k) place -= far_[k] < own - (lane > k - first);
      for (int32_t k = end; k < count_; ++k) place -= far_[k] < own;
      std::memcpy(place_ + first, &place, sizeof place);
    }
  }

  const Grid& grid_;
  std::array<int64_t, kColumns> lowest_;  // key of each column's lowest voxel, less that of the voxel
  std::array<int64_t, kColumns> start_;   // of each column: the first voxel that is in the window or beyond
  bool first_ = true;
  int32_t count_ = 0;
  float x_[kRoom], y_[kRoom], z_[kRoom];  // as seen from the voxel
  int32_t far_[kRoom];  // bits of the squared distance, which are in the order of the numbers; own: -1
  int32_t index_[kRoom], place_[kRoom];
};

}  // namespace
