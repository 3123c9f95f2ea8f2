// SPDX-License-Identifier: Apache-2.0
// The least eigenvalue of symmetric matrices that are made of eigenvalues and axes, and its vector.

#include <algorithm>
#include <cmath>

#include "check.h"
#include "normals.h"

namespace {

struct Axes {
  double of[3][3];  // of[k] is axis k
};

// Of three random directions, each turned to be at right angles to those before.
Axes random_axes(Random& random) {
  Axes axes;
  for (int k = 0; k < 3; ++k) {
    double* const axis = axes.of[k];
    double length = 0;
    while (length < 0.1) {
      for (int i = 0; i < 3; ++i) axis[i] = random.uniform(-1, 1);
      for (int before = 0; before < k; ++before) {
        double along = 0;
        for (int i = 0; i < 3; ++i) along += axis[i] * axes.of[before][i];
        for (int i = 0; i < 3; ++i) axis[i] -= along * axes.of[before][i];
      }
      length = std::sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);
    }
    for (int i = 0; i < 3; ++i) axis[i] /= length;
  }
  return axes;
}

double entry(const Axes& axes, const double* values, int i, int j) {
  double sum = 0;
  for (int k = 0; k < 3; ++k) sum += values[k] * axes.of[k][i] * axes.of[k][j];
  return sum;
}

// For the least of three eigenvalues, each given with the same axes.
void check_least(Random& random, double least, double middle, double most) {
  const Axes axes = random_axes(random);
  const double values[3] = {least, middle, most};
  Covariance m;
  m.xx = entry(axes, values, 0, 0), m.xy = entry(axes, values, 0, 1), m.xz = entry(axes, values, 0, 2);
  m.yy = entry(axes, values, 1, 1), m.yz = entry(axes, values, 1, 2), m.zz = entry(axes, values, 2, 2);
  const Eigen found = smallest_eigenvector(m);
  CHECK(std::abs(found.value - least) < 1e-7 * most);  // half of the digits where two are equal
  const double length = std::sqrt(found.x * found.x + found.y * found.y + found.z * found.z);
  if (middle - least < 1e-3 * most) return;  // any vector at right angles to the others will do
  const double along = found.x * axes.of[0][0] + found.y * axes.of[0][1] + found.z * axes.of[0][2];
  CHECK(std::abs(length - 1) < 1e-12);
  CHECK(std::abs(std::abs(along) - 1) < 1e-9);
}

}  // namespace

TEST(the_least_eigenvalue_and_its_vector) {
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    double values[3] = {random.uniform(0, 1), random.uniform(0, 1), random.uniform(0, 1)};
    std::sort(values, values + 3);
    const double size = std::pow(10.0, random.uniform(-6, 6));
    check_least(random, size * values[0], size * values[1], size * values[2]);
    check_least(random, 0, size, size);                              // a round plane
    check_least(random, 0, size * values[0], size);                  // a long one
    check_least(random, size * 1e-9, size * 1e-9, size);             // a line
    check_least(random, size * values[0], size, size);               // a thick plane
    check_least(random, -size * values[0], size * values[1], size);  // none of points
  }
}

TEST(a_multiple_of_one_has_no_direction) {
  for (const double size : {0.0, 1.0, 0x1p-100, 0x1p100}) {
    Covariance m;
    m.xx = m.yy = m.zz = size;
    const Eigen found = smallest_eigenvector(m);
    CHECK(found.value == size && found.x == 0 && found.y == 0 && found.z == 0);
  }
}
