// SPDX-License-Identifier: Apache-2.0
// The points of a PointCloud2 in one pass over its bytes: where each is, if anywhere, and its color.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "guard.h"
#include "kernels.h"

namespace {

// One that is too large for a float is as one that is infinite.
template <typename Number>
float coordinate(const uint8_t* bytes) {
  Number value;
  std::memcpy(&value, bytes, sizeof value);
  const bool fits = std::abs(value) <= static_cast<Number>(std::numeric_limits<float>::max());
  return fits ? static_cast<float>(value) : std::numeric_limits<float>::quiet_NaN();
}

// Writes where a point is, and returns whether it is anywhere: NaN, and the sensor's own place, are nowhere.
template <typename Number>
bool place(const uint8_t* point, const int64_t* offsets, float* xyz) {
  float at[3];
  for (int axis = 0; axis < 3; ++axis) at[axis] = coordinate<Number>(point + offsets[axis]);
  const bool finite = at[0] - at[0] == 0 && at[1] - at[1] == 0 && at[2] - at[2] == 0;
  const bool there = finite && (at[0] != 0 || at[1] != 0 || at[2] != 0);
  for (int axis = 0; axis < 3; ++axis) xyz[axis] = there ? at[axis] : std::numeric_limits<float>::quiet_NaN();
  return there;
}

}  // namespace

const char* sphmask_read_points(const uint8_t* data, const int64_t* offsets, float* xyz, uint8_t* rgb,
                                int64_t wide, int64_t columns, int64_t row_step, int64_t step,
                                int64_t* placed, int64_t size, int64_t n, int64_t threads) {
  const int64_t number = wide ? sizeof(double) : sizeof(float);
  for (int field = 0; field < 4; ++field) {
    if (field == 3 && !rgb) continue;
    if (offsets[field] < 0 || offsets[field] > step - (field < 3 ? number : 4))
      return "a field is not within its point";
  }
  if (n % columns != 0) return "the last row is not full";
  if (columns * step > row_step) return "a row has more points than bytes";
  if (n > 0 && (n / columns - 1) * row_step + columns * step > size)
    return "there are fewer bytes than points";
  int64_t count = 0;
#pragma omp parallel for schedule(static) num_threads(static_cast<int>(threads)) reduction(+ : count)
  for (int64_t i = 0; i < n; ++i) {
    const uint8_t* const point = data + i / columns * row_step + i % columns * step;
    count += wide ? place<double>(point, offsets, xyz + 3 * i) : place<float>(point, offsets, xyz + 3 * i);
    for (int channel = 0; rgb && channel < 3; ++channel)
      rgb[3 * i + channel] = point[offsets[3] + 2 - channel];
  }
  *placed = count;
  return kFine;
}
