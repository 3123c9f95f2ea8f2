// SPDX-License-Identifier: Apache-2.0
// Changes of points in training, on one thread: each of the processes that load scenes has one.

#include <cstdint>

extern "C" {

// changed[i] = matrix (3, 3) times row i of rows (n, 3), plus shift.
void sphmask_affine(const float* rows, int64_t n, const float* matrix, const float* shift, float* changed) {
  for (int64_t i = 0; i < 3 * n; i += 3)
    for (int64_t j = 0; j < 3; ++j) {
      const float* m = matrix + 3 * j;
      changed[i + j] = m[0] * rows[i] + m[1] * rows[i + 1] + m[2] * rows[i + 2] + shift[j];
    }
}

// moved[i] = point i of xyz (n, 3) plus `magnitude` times the noise between the eight nodes about it, trilinear.
// noise (nx, ny, nz, 3): node (1, 1, 1) lies at `low`, nodes are `spacing` apart; every point lies between nodes.
void sphmask_elastic(const float* xyz, int64_t n, const float* low, float spacing, float magnitude, const float* noise,
                     int64_t ny, int64_t nz, float* moved) {
  const int64_t steps[3] = {3 * ny * nz, 3 * nz, 3};
  for (int64_t i = 0; i < 3 * n; i += 3) {
    int64_t node = 0;
    float far[3];  // share of the farther node on each axis
    for (int axis = 0; axis < 3; ++axis) {
      const float position = (xyz[i + axis] - low[axis]) / spacing + 1.0f;
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
}

}  // extern "C"
