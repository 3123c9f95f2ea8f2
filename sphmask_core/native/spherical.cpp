// SPDX-License-Identifier: Apache-2.0
// What lies inside spherical polygons. The sector of a point is found by the planes and cones between
// sectors, without an angle.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "guard.h"
#include "kernels.h"

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kBlock = 64;  // points that are looked at together

// The directions between the sectors of a sphere: polar from z down, azimuth from -x around.
class Sectors {
public:
  Sectors(int64_t polar, int64_t azimuth) : azimuth_(azimuth) {
    for (int64_t i = 1; i < polar; ++i)
      cones_.push_back(
          static_cast<float>(std::cos(kPi * static_cast<double>(i) / static_cast<double>(polar))));
    for (int64_t j = 1; j < azimuth; ++j) {
      const double angle = kPi * (2 * static_cast<double>(j) / static_cast<double>(azimuth) - 1);
      planes_.push_back(
          {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle)), angle < 0});
    }
  }

  // Sectors of points about the center, and how far they are from it.
  void find(const float* x, const float* y, const float* z, int32_t* sector, float* distance) const {
    int32_t polar[kBlock] = {}, azimuth[kBlock] = {};
    for (int64_t i = 0; i < kBlock; ++i) distance[i] = std::sqrt(x[i] * x[i] + y[i] * y[i] + z[i] * z[i]);
    for (const float cosine : cones_)
      for (int64_t i = 0; i < kBlock; ++i) polar[i] += (z[i] <= distance[i] * cosine) & (distance[i] > 0);
    for (const Plane& plane : planes_)
      for (int64_t i = 0; i < kBlock; ++i) {
        // What is above or below the center has an azimuth of 0, as atan2 has it.
        const float along = (x[i] == 0) & (y[i] == 0) ? 1.0f : x[i];
        const int32_t left = plane.cosine * y[i] - plane.sine * along >= 0;
        // Of the half y >= 0 all is beyond the planes of the other half, and nothing the other way around.
        azimuth[i] += y[i] >= 0 ? left | plane.first_half : left & plane.first_half;
      }
    for (int64_t i = 0; i < kBlock; ++i) sector[i] = polar[i] * static_cast<int32_t>(azimuth_) + azimuth[i];
  }

private:
  struct Plane {
    float cosine, sine;
    int32_t first_half;  // where y < 0
  };

  int64_t azimuth_;
  std::vector<float> cones_;
  std::vector<Plane> planes_;
};

// Points as columns, the last block filled up with zeros.
struct Columns {
  std::vector<float> axis[3];

  Columns(const float* xyz, int64_t n) {
    for (int k = 0; k < 3; ++k) {
      axis[k].resize((n + kBlock - 1) / kBlock * kBlock);
      for (int64_t i = 0; i < n; ++i) axis[k][i] = xyz[3 * i + k];
    }
  }
};

}  // namespace

const char* sphmask_inside_polygons(const float* xyz, const float* migration, const float* centers,
                                    const float* lengths, uint8_t* inside, int64_t polar, int64_t azimuth,
                                    float factor, int64_t n, int64_t queries, int64_t rays, int64_t threads) {
  if (polar < 1 || azimuth < 1 || rays / polar != azimuth || rays % polar != 0)
    return "there must be one ray for each sector";
  return guarded([&] {
    const Sectors sectors(polar, azimuth);
    const Columns points(xyz, n);
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
    for (int64_t q = 0; q < queries; ++q)
      for (int64_t first = 0; first < n; first += kBlock) {
        float offset[3][kBlock], distance[kBlock];
        int32_t sector[kBlock];
        for (int axis = 0; axis < 3; ++axis)
          for (int64_t i = 0; i < kBlock; ++i)
            offset[axis][i] = points.axis[axis][first + i] - centers[3 * q + axis];
        sectors.find(offset[0], offset[1], offset[2], sector, distance);
        const int64_t count = std::min(kBlock, n - first), at = q * n + first;
        for (int64_t i = 0; i < count; ++i)
          inside[at + i] = lengths[q * rays + sector[i]] - (distance[i] - factor * migration[at + i]) >= 0;
      }
    return kFine;
  });
}
