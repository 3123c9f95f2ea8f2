// SPDX-License-Identifier: Apache-2.0
// Voxel numbering and neighbor maps from packed coordinates.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "guard.h"
#include "kernels.h"
#include "keys.h"
#include "sort.h"

namespace {

constexpr int kWindow = 3, kColumns = kWindow * kWindow;
constexpr int64_t kBeyond = int64_t{1} << 62;                                        // more than any key
constexpr int64_t kStepX = int64_t{1} << (2 * kBits), kStepY = int64_t{1} << kBits;  // of a key
constexpr int kMostTileRows = 256;  // places in a tile are bytes

uint64_t mix(uint64_t key) {
  key *= 0x9E3779B97F4A7C15ull;
  return key ^ (key >> 29);
}

// Numbers of keys by open addressing. It grows with what it holds: a small table stays in the cache.
class Table {
public:
  Table(const int64_t* keys, const int64_t* first) : keys_(keys), first_(first), slots_(1 << 12, -1) {}

  // The number of a key; `next` where it is new.
  int64_t number(int64_t key, int64_t next) {
    if (2 * next > static_cast<int64_t>(slots_.size())) grow(next);
    int64_t& slot = find(key);
    if (slot < 0) slot = next;
    return slot;
  }

private:
  int64_t& find(int64_t key) {
    const size_t mask = slots_.size() - 1;
    size_t place = mix(static_cast<uint64_t>(key)) & mask;
    while (slots_[place] >= 0 && keys_[first_[slots_[place]]] != key) place = (place + 1) & mask;
    return slots_[place];
  }

  void grow(int64_t count) {
    slots_.assign(4 * slots_.size(), -1);
    for (int64_t number = 0; number < count; ++number) find(keys_[first_[number]]) = number;
  }

  const int64_t *keys_, *first_;
  std::vector<int64_t> slots_;
};

bool is_between(int64_t number, int64_t most) { return number >= 0 && number <= most; }

// Whether `starts` is as long as an index of that many rows and kernel offsets needs.
bool starts_fit(int64_t kernel, int64_t rows, int64_t tile_rows, int64_t start_count) {
  return start_count == (rows + tile_rows - 1) / tile_rows * kernel + 1;
}

constexpr const char* kStartsLength =
    "starts must have one number for each tile and kernel offset, and one more";

}  // namespace

const char* sphmask_pack(const int32_t* coords, int64_t* keys, int64_t halvings, int64_t n) {
  int64_t strange = 0;
  for (int64_t v = 0; v < n; ++v, coords += 4) {
    const int64_t x = coords[1] >> halvings, y = coords[2] >> halvings, z = coords[3] >> halvings;
    const bool fits = is_between(x, kMostCoordinate) && is_between(y, kMostCoordinate) &&
                      is_between(z, kMostCoordinate) && is_between(coords[0], kMostScene);
    strange += !fits;
    keys[v] = fits ? pack(coords[0], x, y, z) : 0;
  }
  return strange == 0 ? kFine : "a scene is not from 0 to 511 or a coordinate not from 0 to 262141";
}

const char* sphmask_family(const int32_t* coords, const int64_t* parent, int32_t* children, int32_t* parents,
                           int64_t n, int64_t coarse) {
  if (n > kMostRows) return kTooMany;
  std::fill_n(children, 8 * coarse, -1);
  std::fill_n(parents, 8 * n, -1);
  for (int64_t v = 0; v < n; ++v, coords += 4) {
    if (!is_between(parent[v], coarse - 1)) return "parent has a number that is not one of the coarse voxels";
    const int64_t corner = (coords[1] & 1) << 2 | (coords[2] & 1) << 1 | (coords[3] & 1);
    children[corner * coarse + parent[v]] = static_cast<int32_t>(v);
    parents[corner * n + v] = static_cast<int32_t>(parent[v]);
  }
  return kFine;
}

const char* sphmask_number_keys(const int64_t* keys, int64_t* inverse, int64_t* first, int64_t* count,
                                int64_t n) {
  return guarded([&] {
    const Watch watch;
    Table table(keys, first);
    *count = 0;
    for (int64_t i = 0; i < n; ++i) {
      watch.check(i);
      inverse[i] = i > 0 && keys[i] == keys[i - 1] ? inverse[i - 1] : table.number(keys[i], *count);
      if (inverse[i] == *count) first[(*count)++] = i;
    }
    return kFine;
  });
}

// One sort, then a merge of the sorted keys with themselves shifted by each (dx, dy) that is not negative: it
// finds three dz, and each pair of neighbors for both. Without branches, since which of the three there are
// is foretold wrongly every other time.
const char* sphmask_find_neighbors(const int64_t* keys, int32_t* neighbors, int64_t n, int64_t threads) {
  if (n > kMostRows) return kTooMany;
  return guarded([&] {
    std::vector<int32_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    std::vector<uint64_t> unsorted(keys, keys + n);
    radix_sort(unsorted, order);
    if (n > 0 && unsorted.back() > kMostKey) return "keys are not those of voxels";
    if (std::adjacent_find(unsorted.begin(), unsorted.end()) != unsorted.end())
      return "keys are not distinct";
    std::vector<int64_t> sorted(unsorted.begin(), unsorted.end());
    sorted.resize(n + kSteps, kBeyond), order.resize(n + kSteps);
    std::fill_n(neighbors, kColumns * kWindow * n, -1);
#pragma omp parallel for schedule(static, 1) num_threads(static_cast<int>(threads))
    for (int column = kColumns / 2; column < kColumns; ++column) {
      const int64_t shift = (column / kWindow - 1LL) * kStepX + (column % kWindow - 1LL) * kStepY;
      int32_t* const ahead = neighbors + column * kWindow * n;
      int32_t* const behind = neighbors + (kColumns - 1 - column) * kWindow * n;
      int32_t nowhere = 0;
      int64_t j = 0;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t lowest = sorted[i] + shift - 1;
        j = first_from(sorted.data(), j, lowest);
        for (int k = 0; k < kWindow; ++k) {
          const int64_t dz = sorted[j + k] - lowest;
          const bool near = dz < kWindow;
          *(near ? ahead + dz * n + order[i] : &nowhere) = order[j + k];
          *(near ? behind + (kWindow - 1 - dz) * n + order[j + k] : &nowhere) = order[i];
        }
      }
    }
    return kFine;
  });
}

const char* sphmask_count_pairs(const int32_t* index, int64_t* starts, int64_t tile_rows, int64_t kernel,
                                int64_t rows, int64_t start_count, int64_t threads) {
  if (!starts_fit(kernel, rows, tile_rows, start_count)) return kStartsLength;
  const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
  starts[0] = 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t t = 0; t < tiles; ++t)
    for (int64_t k = 0; k < kernel; ++k) {
      const int32_t* entries = index + k * rows;
      starts[t * kernel + k + 1] =
          std::count_if(entries + t * tile_rows, entries + std::min(rows, (t + 1) * tile_rows),
                        [](int32_t row) { return row >= 0; });
    }
  std::partial_sum(starts, starts + tiles * kernel + 1, starts);
  return kFine;
}

const char* sphmask_list_pairs(const int32_t* index, const int64_t* starts, int32_t* source, uint8_t* target,
                               int64_t tile_rows, int64_t kernel, int64_t rows, int64_t start_count,
                               int64_t pairs, int64_t threads) {
  if (!starts_fit(kernel, rows, tile_rows, start_count)) return kStartsLength;
  int64_t strange = 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) reduction(+ : strange)
  for (int64_t first = 0; first < rows; first += tile_rows) {
    const int64_t count = std::min(tile_rows, rows - first);
    for (int64_t k = 0; k < kernel; ++k) {
      const int32_t* entries = index + k * rows + first;
      int32_t sources[kMostTileRows];
      uint8_t place[kMostTileRows];
      int64_t listed = 0;
      for (int64_t v = 0; v < count; ++v) {
        sources[listed] = entries[v], place[listed] = static_cast<uint8_t>(v);
        listed += entries[v] >= 0;
      }
      const int64_t start = starts[first / tile_rows * kernel + k];
      if (start < 0 || start > pairs - listed) {
        ++strange;
        continue;
      }
      std::copy_n(sources, listed, source + start);
      std::copy_n(place, listed, target + start);
    }
  }
  return strange == 0 ? kFine : "starts are not those of the index";
}
