// SPDX-License-Identifier: Apache-2.0
// A depth image to a point cloud in one pass: back-projection by the pinhole model, each point with its color.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace {

struct Pinhole {
  double fx, fy, cx, cy;
};

struct Color {
  const uint8_t* pixels;  // rows of `step` bytes; null: no colors
  int64_t height, width, step, channels;
  int64_t red;            // place of red in a pixel, 0 or 2
  Pinhole camera;
  const double* pose;     // (3, 4) from the depth camera's frame to the color camera's; null: pixel by pixel

  // The color of pixel (u, v) of the depth image, whose point is p; false where the color camera does not see it.
  bool find(int64_t u, int64_t v, const double* p, uint8_t* rgb) const {
    if (pose) {
      double q[3];
      for (int i = 0; i < 3; ++i) q[i] = pose[4 * i] * p[0] + pose[4 * i + 1] * p[1] + pose[4 * i + 2] * p[2] + pose[4 * i + 3];
      if (!(q[2] > 0)) return false;
      const double x = camera.fx * q[0] / q[2] + camera.cx + 0.5, y = camera.fy * q[1] / q[2] + camera.cy + 0.5;
      if (!(x >= 0 && x < static_cast<double>(width) && y >= 0 && y < static_cast<double>(height))) return false;
      u = static_cast<int64_t>(x);
      v = static_cast<int64_t>(y);
    }
    const uint8_t* const pixel = pixels + v * step + u * channels;
    if (channels == 1) {
      rgb[0] = rgb[1] = rgb[2] = pixel[0];
    } else {
      rgb[0] = pixel[red];
      rgb[1] = pixel[1];
      rgb[2] = pixel[2 - red];
    }
    return true;
  }
};

}  // namespace

// xyz (height * width, 3) meters, x to the right, y down, z forward, NaN where depth is 0 or not finite; rgb the same size,
// `plain` where there is no color. depth: rows of `depth_step` bytes of uint16, or of float where `is_float`; `unit`: meters
// of its 1. cameras: fx, fy, cx, cy of the depth camera and of the color camera.
extern "C" void sphmask_back_project(const uint8_t* depth, int64_t is_float, int64_t height, int64_t width, int64_t depth_step,
                                     double unit, const double* cameras, const uint8_t* color, int64_t color_height,
                                     int64_t color_width, int64_t color_step, int64_t channels, int64_t red,
                                     const double* color_pose, int64_t plain, float* xyz, uint8_t* rgb, int64_t threads) {
  const Pinhole eye{cameras[0], cameras[1], cameras[2], cameras[3]};
  const Color colors{color, color_height, color_width, color_step, channels, red,
                     {cameras[4], cameras[5], cameras[6], cameras[7]}, color_pose};
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads))
  for (int64_t v = 0; v < height; ++v) {
    const uint8_t* const row = depth + v * depth_step;
    for (int64_t u = 0; u < width; ++u) {
      double z;
      if (is_float) {
        float value;
        std::memcpy(&value, row + 4 * u, 4);
        z = value * unit;
      } else {
        uint16_t value;
        std::memcpy(&value, row + 2 * u, 2);
        z = value * unit;
      }
      const int64_t i = v * width + u;
      float* const point = xyz + 3 * i;
      if (!(z > 0 && z <= std::numeric_limits<float>::max())) {
        point[0] = point[1] = point[2] = std::numeric_limits<float>::quiet_NaN();
        if (rgb && (color_pose || !colors.find(u, v, nullptr, rgb + 3 * i))) std::memset(rgb + 3 * i, static_cast<int>(plain), 3);
        continue;
      }
      const double p[3] = {(static_cast<double>(u) - eye.cx) / eye.fx * z, (static_cast<double>(v) - eye.cy) / eye.fy * z, z};
      for (int axis = 0; axis < 3; ++axis) point[axis] = static_cast<float>(p[axis]);
      if (rgb && !colors.find(u, v, p, rgb + 3 * i)) std::memset(rgb + 3 * i, static_cast<int>(plain), 3);
    }
  }
}
