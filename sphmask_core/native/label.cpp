// SPDX-License-Identifier: Apache-2.0
// Labelled points: position and the values of each point's instance, packed one after the other.

#include <cstdint>
#include <cstring>

// points[i] = x, y, z of xyz (n, 3), then values[labels[i]]: colour 0xRRGGBB and three more of 4 bytes. A point of label 0
// has its own colour of rgb (n, 3), where there are colours.
extern "C" void sphmask_label_points(const float* xyz, const uint8_t* rgb, const int32_t* labels, int64_t n,
                                     const uint32_t* values, uint32_t* points, int64_t threads) {
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < n; ++i) {
    uint32_t* const point = points + 7 * i;
    std::memcpy(point, xyz + 3 * i, 12);
    std::memcpy(point + 3, values + 4 * labels[i], 16);
    if (rgb && labels[i] == 0)
      point[3] = static_cast<uint32_t>(rgb[3 * i] << 16 | rgb[3 * i + 1] << 8 | rgb[3 * i + 2]);
  }
}
