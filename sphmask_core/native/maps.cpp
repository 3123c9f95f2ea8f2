// SPDX-License-Identifier: Apache-2.0
// Voxel numbering and neighbour maps from packed coordinates. A key holds batch, x, y and z with z in the low
// bits and room on both sides, so that a neighbour's key is a plain sum and never that of another row.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace {

constexpr int64_t kBits = 18;
constexpr int kWindow = 3;

uint64_t mix(uint64_t key) {
  key *= 0x9E3779B97F4A7C15ull;
  return key ^ (key >> 29);
}

int64_t table_size(int64_t n) {
  int64_t size = 16;
  while (size < 2 * n) size *= 2;
  return size;
}

}  // namespace

extern "C" {

// Number keys by first appearance: inverse[i] = number of key i, first[v] = where number v appears first.
// Returns how many numbers there are; `first` has room for n.
int64_t sphmask_number_keys(const int64_t* keys, int64_t n, int64_t* inverse, int64_t* first) {
  const int64_t size = table_size(n), mask = size - 1;
  std::vector<int64_t> slots(size, -1);
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    int64_t slot = static_cast<int64_t>(mix(static_cast<uint64_t>(keys[i]))) & mask;
    while (slots[slot] >= 0 && keys[first[slots[slot]]] != keys[i]) slot = (slot + 1) & mask;
    if (slots[slot] < 0) {
      slots[slot] = count;
      first[count++] = i;
    }
    inverse[i] = slots[slot];
  }
  return count;
}

// neighbours[k, v] = voxel at offset k - 13 of the 3^3 window (row-major over x, y, z), or -1. `keys` are distinct.
// One sort, then nine merges of the sorted keys with themselves shifted by (dx, dy), each finding three dz.
void sphmask_neighbours(const int64_t* keys, int64_t n, int32_t* neighbours, int64_t threads) {
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [keys](int32_t a, int32_t b) { return keys[a] < keys[b]; });
  std::vector<int64_t> sorted(n);
  for (int64_t i = 0; i < n; ++i) sorted[i] = keys[order[i]];
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int column = 0; column < kWindow * kWindow; ++column) {
    const int64_t shift = ((column / kWindow - 1LL) << (2 * kBits)) + ((column % kWindow - 1LL) << kBits);
    int64_t j = 0;
    for (int64_t i = 0; i < n; ++i) {
      const int64_t target = sorted[i] + shift;
      while (j < n && sorted[j] < target - 1) ++j;
      int32_t* found = neighbours + column * kWindow * n + order[i];
      found[0] = found[n] = found[2 * n] = -1;
      for (int64_t s = j; s < n && sorted[s] <= target + 1; ++s) found[(sorted[s] - target + 1) * n] = order[s];
    }
  }
}

}  // extern "C"
