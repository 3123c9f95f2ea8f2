// SPDX-License-Identifier: Apache-2.0
// Packed coordinates of voxels. A key holds scene, x, y and z with z in the low bits and room on both sides,
// so that a neighbor's key is a plain sum and never that of another row.
#pragma once

#include <cstdint>

namespace {

constexpr int64_t kBits = 18;
constexpr int64_t kMostCoordinate = (1 << kBits) - 3;
constexpr int64_t kMostScene = (1 << 9) - 1;

constexpr int64_t pack(int64_t scene, int64_t x, int64_t y, int64_t z) {
  return (((scene << kBits | (x + 1)) << kBits) | (y + 1)) << kBits | (z + 1);
}

constexpr uint64_t kMostKey = pack(kMostScene, kMostCoordinate, kMostCoordinate, kMostCoordinate);

}  // namespace
