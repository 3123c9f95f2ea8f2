// SPDX-License-Identifier: Apache-2.0
// Labeled points: position and the values of each point's instance, packed one after the other.

#include <cstdint>
#include <cstring>

#include "guard.h"
#include "kernels.h"

const char* sphmask_label_points(const float* xyz, const int32_t* labels, const uint32_t* values,
                                 uint32_t* points, const uint8_t* rgb, int64_t n, int64_t objects,
                                 int64_t threads) {
  int64_t strange = 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) reduction(+ : strange)
  for (int64_t i = 0; i < n; ++i) {
    if (labels[i] < 0 || labels[i] >= objects) {
      ++strange;
      continue;
    }
    uint32_t* const point = points + 7 * i;
    std::memcpy(point, xyz + 3 * i, 12);
    std::memcpy(point + 3, values + 4 * labels[i], 16);
    if (rgb && labels[i] == 0)
      point[3] = static_cast<uint32_t>(rgb[3 * i] << 16 | rgb[3 * i + 1] << 8 | rgb[3 * i + 2]);
  }
  return strange == 0 ? kFine : "labels has a number that no row of values is for";
}
