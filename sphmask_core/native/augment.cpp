// SPDX-License-Identifier: Apache-2.0
// Changes of points in training, on one thread: each of the processes that load scenes has one.

#include <cstdint>

#include "guard.h"
#include "kernels.h"

const char* sphmask_affine(const float* rows, const float* matrix, const float* shift, float* changed,
                           int64_t n) {
  for (int64_t i = 0; i < 3 * n; i += 3)
    for (int64_t j = 0; j < 3; ++j) {
      const float* m = matrix + 3 * j;
      changed[i + j] = m[0] * rows[i] + m[1] * rows[i + 1] + m[2] * rows[i + 2] + shift[j];
    }
  return kFine;
}

const char* sphmask_elastic(const float* xyz, const float* low, const float* noise, float* moved,
                            float spacing, float magnitude, int64_t n, int64_t nx, int64_t ny, int64_t nz) {
  const int64_t steps[3] = {3 * ny * nz, 3 * nz, 3};
  const float last[3] = {static_cast<float>(nx - 1), static_cast<float>(ny - 1), static_cast<float>(nz - 1)};
  for (int64_t i = 0; i < 3 * n; i += 3) {
    int64_t node = 0;
    float far[3];  // share of the farther node on each axis
    for (int axis = 0; axis < 3; ++axis) {
      const float position = (xyz[i + axis] - low[axis]) / spacing + 1.0f;
      if (!(position >= 0 && position < last[axis]))
        return "a point does not lie between the nodes of the noise";
      const auto cell = static_cast<int64_t>(position);
      far[axis] = position - static_cast<float>(cell);
      node += cell * steps[axis];
    }
    float sum[3] = {};
    for (int corner = 0; corner < 8; ++corner) {
      const float* at = noise + node;
      float weight = magnitude;
      for (int axis = 0; axis < 3; ++axis) {
        const bool farther = corner >> axis & 1;
        weight *= farther ? far[axis] : 1.0f - far[axis];
        if (farther) at += steps[axis];
      }
      for (int axis = 0; axis < 3; ++axis) sum[axis] += weight * at[axis];
    }
    for (int axis = 0; axis < 3; ++axis) moved[i + axis] = xyz[i + axis] + sum[axis];
  }
  return kFine;
}
