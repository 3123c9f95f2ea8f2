// SPDX-License-Identifier: Apache-2.0
// Radial point migration: each query's own network of two or three layers on every superpoint. Of the inputs
// z = [q - p_s, |b_q - b_s|, m_s] a thread keeps m_s; the rest it writes anew for each query.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "block.h"
#include "guard.h"
#include "kernels.h"
#include "team.h"

namespace {

constexpr int64_t kTile = 96;     // superpoints that a query takes at once
constexpr int64_t kGeometry = 6;  // inputs that are of a query and a superpoint together

struct Scene {
  const float *xyz, *sizes, *features;  // (S, 3), (S, 3), (S, M)
  int64_t superpoints, mask_dim;

  int64_t inputs() const { return mask_dim + kGeometry; }

  // One row of inputs for each superpoint, whose geometry `relate` will write.
  std::vector<float> rows() const {
    std::vector<float> z(superpoints * inputs());
    for (int64_t s = 0; s < superpoints; ++s)
      std::copy_n(features + s * mask_dim, mask_dim, z.data() + s * inputs() + kGeometry);
    return z;
  }

  // Writes how superpoints [first, last) lie to a query into their rows z.
  void relate(const float* query_xyz, const float* query_size, int64_t first, int64_t last, float* z) const {
    for (int64_t s = first; s < last; ++s, z += inputs())
      for (int axis = 0; axis < 3; ++axis) {
        z[axis] = query_xyz[axis] - xyz[3 * s + axis];
        z[3 + axis] = std::abs(query_size[axis] - sizes[3 * s + axis]);
      }
  }
};

// W^T x + b on rows of a tile, and its ReLU; rows of the output are padded to whole panels.
class Layer {
public:
  Layer(int64_t in, int64_t out)
      : in_(in),
        out_(out),
        wide_(out % Wide<float>::kWidth == 0),
        padded_(round_up(out, Narrow<float>::kWidth)),
        packed_(in * padded_),
        bias_(padded_),
        values_(kTile * padded_),
        source_(kTile),
        target_(kTile) {
    for (int64_t r = 0; r < kTile; ++r) target_[r] = values_.data() + r * padded_;
  }

  int64_t weights() const { return in_ * out_; }
  int64_t outputs() const { return out_; }
  int64_t stride() const { return padded_; }
  const float* values() const { return values_.data(); }

  void load(const float* weight, const float* bias) {
    pack_panels(weight, in_, out_, wide_ ? Wide<float>::kWidth : Narrow<float>::kWidth, packed_.data());
    std::copy_n(bias, out_, bias_.begin());
  }

  void apply(const float* x, int64_t stride, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) source_[r] = x + r * stride;
    if (wide_)
      multiply<Wide<float>>(rows);
    else
      multiply<Narrow<float>>(rows);
  }

  void rectify(int64_t rows) {
    for (int64_t i = 0; i < rows * padded_; ++i) values_[i] = std::max(values_[i], 0.0f);
  }

private:
  template <typename P>
  void multiply(int64_t rows) {
    for (int64_t at = 0; at < padded_; at += P::kWidth)
      multiply_add_rows<P>(rows, source_.data(), packed_.data() + at * in_, in_, bias_.data(), target_.data(),
                           at);
  }

  int64_t in_, out_;
  bool wide_;
  int64_t padded_;
  std::vector<float> packed_, bias_, values_;
  std::vector<const float*> source_;
  std::vector<float*> target_;
};

// A query's network: hidden layers, then one output without a bias. Its parameters are all weights, then all
// biases.
class Network {
public:
  Network(const Scene& scene, int64_t layers) : scene_(&scene), z_(scene.rows()) {
    hidden_.emplace_back(scene.inputs(), scene.mask_dim);
    if (layers == 3) hidden_.emplace_back(scene.mask_dim, scene.mask_dim / 2);
  }

  int64_t parameters() const {
    int64_t count = hidden_.back().outputs() + 1;
    for (const Layer& layer : hidden_) count += layer.weights() + layer.outputs();
    return count;
  }

  void load(const float* parameters) {
    const float* bias = parameters + hidden_.back().outputs();
    for (const Layer& layer : hidden_) bias += layer.weights();
    for (Layer& layer : hidden_) {
      layer.load(parameters, bias);
      parameters += layer.weights(), bias += layer.outputs();
    }
    last_ = parameters;
  }

  void apply(const float* query_xyz, const float* query_size, float* out) {
    for (int64_t first = 0; first < scene_->superpoints; first += kTile) {
      const int64_t last = std::min(scene_->superpoints, first + kTile);
      int64_t stride = scene_->inputs();
      float* const z = z_.data() + first * stride;
      scene_->relate(query_xyz, query_size, first, last, z);
      const float* x = z;
      for (Layer& layer : hidden_) {
        if (&layer != &hidden_.front()) hidden_.front().rectify(last - first);
        layer.apply(x, stride, last - first);
        x = layer.values(), stride = layer.stride();
      }
      for (int64_t s = first; s < last; ++s, x += stride) out[s] = dot(x);
    }
  }

private:
  float dot(const float* x) const {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < hidden_.back().outputs(); ++i) sum += std::max(x[i], 0.0f) * last_[i];
    return sum;
  }

  const Scene* scene_;
  std::vector<float> z_;  // (superpoints, inputs)
  std::vector<Layer> hidden_;
  const float* last_ = nullptr;
};

}  // namespace

const char* sphmask_migrate(const float* parameters, const float* query_xyz, const float* query_sizes,
                            const float* xyz, const float* sizes, const float* features, float* migration,
                            int64_t layers, int64_t queries, int64_t parameter_count, int64_t superpoints,
                            int64_t mask_dim, int64_t threads) {
  if (mask_dim < 1) return "features must have at least one channel";
  return guarded([&] {
    const Scene scene{xyz, sizes, features, superpoints, mask_dim};
    Team<Network> networks(threads, [&] { return Network(scene, layers); });
    if (networks.front().parameters() != parameter_count)
      return "parameters are not as many as the layers have";
#pragma omp parallel num_threads(static_cast<int>(threads))
    {
      Network& network = networks.mine();
#pragma omp for schedule(dynamic, 4)
      for (int64_t q = 0; q < queries; ++q) {
        network.load(parameters + q * parameter_count);
        network.apply(query_xyz + 3 * q, query_sizes + 3 * q, migration + q * superpoints);
      }
    }
    return kFine;
  });
}
