// SPDX-License-Identifier: Apache-2.0
// Stacks of dense layers on rows: x -> W^T x + b, with or without ReLU, again and again. A few rows pass
// through all layers while they are in the cache. Batch norms with fixed statistics are part of W and b.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "block.h"

namespace {

constexpr int64_t kTileRows = 96;  // rows that pass through the layers together

struct DenseLayer {
  int64_t in, out, width, columns;  // columns: outputs rounded up to whole panels of `width`
  bool rectified;
  const float *bias, *weight;  // (columns), (panels, in, width)
};

class DenseStack {
public:
  // widths (layers + 1), rectified (layers); packed: of each layer its bias, then its weights.
  DenseStack(const int64_t* widths, const uint8_t* rectified, const float* packed, int64_t layers) {
    for (int64_t l = 0; l < layers; ++l) {
      const int64_t in = widths[l], out = widths[l + 1];
      const int64_t width = out % Wide<float>::kWidth == 0 ? Wide<float>::kWidth : Narrow<float>::kWidth;
      const int64_t columns = round_up(out, width);
      layers_.push_back(
          {in, out, width, columns, rectified[l] != 0, packed + length_, packed + length_ + columns});
      length_ += columns * (in + 1);
      most_columns_ = std::max(most_columns_, columns);
    }
  }

  int64_t length() const { return length_; }  // numbers in `packed`
  int64_t most_columns() const { return most_columns_; }
  const std::vector<DenseLayer>& layers() const { return layers_; }

private:
  std::vector<DenseLayer> layers_;
  int64_t length_ = 0, most_columns_ = 0;
};

// What is wrong with the numbers that a stack is made of, or null.
inline const char* stack_problem(const int64_t* widths, int64_t width_count, int64_t layers, int64_t packed,
                                 int64_t in, int64_t out) {
  if (layers < 1 || width_count != layers + 1) return "widths must be one more than the layers";
  if (widths[0] != in || widths[layers] != out) return "the first and last width must be those of the rows";
  int64_t length = 0;
  for (int64_t l = 0; l <= layers; ++l) {
    if (widths[l] < 1 || widths[l] > (1 << 20)) return "a layer must have 1 to 2^20 outputs";
    const int64_t wide = Wide<float>::kWidth, narrow = Narrow<float>::kWidth;
    if (l > 0) length += round_up(widths[l], widths[l] % wide == 0 ? wide : narrow) * (widths[l - 1] + 1);
  }
  return length == packed ? nullptr : "packed must hold the bias and the weights of every layer";
}

// What one thread needs to take up to `rows` rows through a stack.
class DensePass {
public:
  DensePass(const DenseStack& stack, int64_t rows)
      : stack_(&stack),
        source_(rows),
        target_(rows),
        values_{std::vector<float>(rows * stack.most_columns()),
                std::vector<float>(rows * stack.most_columns())} {}

  // Outputs of `rows` rows x, `stride` numbers apart; they are `columns` of the last layer apart.
  const float* run(const float* x, int64_t stride, int64_t rows) {
    int which = 0;
    for (const DenseLayer& layer : stack_->layers()) {
      float* const y = values_[which].data();
      for (int64_t r = 0; r < rows; ++r) {
        source_[r] = x + r * stride, target_[r] = y + r * layer.columns;
      }
      if (layer.width == Wide<float>::kWidth)
        multiply<Wide<float>>(layer, rows);
      else
        multiply<Narrow<float>>(layer, rows);
      for (int64_t i = 0; layer.rectified && i < rows * layer.columns; ++i) y[i] = std::max(y[i], 0.0f);
      x = y, stride = layer.columns, which = 1 - which;
    }
    return x;
  }

private:
  template <typename P>
  void multiply(const DenseLayer& layer, int64_t rows) {
    for (int64_t at = 0; at < layer.columns; at += P::kWidth)
      multiply_add_rows<P>(rows, source_.data(), layer.weight + at * layer.in, layer.in, layer.bias,
                           target_.data(), at);
  }

  const DenseStack* stack_;
  std::vector<const float*> source_;
  std::vector<float*> target_;
  std::vector<float> values_[2];
};

}  // namespace
