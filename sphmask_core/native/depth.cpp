// SPDX-License-Identifier: Apache-2.0
// A depth image to a point cloud in one pass: back-projection by the pinhole model, each point with its
// color.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "guard.h"
#include "kernels.h"

namespace {

struct Pinhole {
  double fx, fy, cx, cy;
};

struct ColorImage {
  const uint8_t* pixels;  // (rows, columns, 3)
  int64_t rows, columns;
  Pinhole camera;
  const double* pose;  // (3, 4) from the depth camera's frame to the color camera's

  // The color where the camera sees the point p, null where it does not.
  const uint8_t* at(const double* p) const {
    double q[3];
    for (int i = 0; i < 3; ++i) {
      const double* const row = pose + 4 * i;
      q[i] = row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3];
    }
    if (!(q[2] > 0)) return nullptr;
    const double x = camera.fx * q[0] / q[2] + camera.cx + 0.5, y = camera.fy * q[1] / q[2] + camera.cy + 0.5;
    if (!(x >= 0 && x < static_cast<double>(columns) && y >= 0 && y < static_cast<double>(rows)))
      return nullptr;
    return pixels + 3 * (static_cast<int64_t>(y) * columns + static_cast<int64_t>(x));
  }
};

template <typename Depth>
double meters(const uint8_t* bytes, double unit) {
  Depth value;
  std::memcpy(&value, bytes, sizeof value);
  return static_cast<double>(value) * unit;
}

}  // namespace

const char* sphmask_back_project(const uint8_t* depth, const double* cameras, const uint8_t* color,
                                 const double* pose, float* xyz, uint8_t* rgb, double unit,
                                 int64_t registered, int64_t plain, int64_t height, int64_t width,
                                 int64_t bytes, int64_t rows, int64_t columns, int64_t threads) {
  if (bytes != 2 && bytes != 4) return "depth has neither 2 nor 4 bytes a pixel";
  if (!registered && rows * columns != 0 && (rows != height || columns != width))
    return "color and depth have not the same pixels";
  const Pinhole eye{cameras[0], cameras[1], cameras[2], cameras[3]};
  const ColorImage other{color, rows, columns, {cameras[4], cameras[5], cameras[6], cameras[7]}, pose};
  const bool aligned = !registered && rows * columns != 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t i = 0; i < height * width; ++i) {
    const uint8_t* const value = depth + bytes * i;
    const double z = bytes == 2 ? meters<uint16_t>(value, unit) : meters<float>(value, unit);
    const bool there = z > 0 && z <= std::numeric_limits<float>::max();
    const double u = static_cast<double>(i % width), v = static_cast<double>(i / width);
    const double p[3] = {(u - eye.cx) / eye.fx * z, (v - eye.cy) / eye.fy * z, z};
    for (int axis = 0; axis < 3; ++axis)
      xyz[3 * i + axis] = there ? static_cast<float>(p[axis]) : std::numeric_limits<float>::quiet_NaN();
    const uint8_t* const seen = aligned ? color + 3 * i : there && registered ? other.at(p) : nullptr;
    if (seen)
      std::memcpy(rgb + 3 * i, seen, 3);
    else
      std::memset(rgb + 3 * i, static_cast<int>(plain), 3);
  }
  return kFine;
}
