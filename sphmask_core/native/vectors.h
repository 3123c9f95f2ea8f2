// SPDX-License-Identifier: Apache-2.0
// What the processor that is compiled for adds at once. Vectors twice as long as its registers would be right
// too, but gcc takes them apart to single numbers, and the kernels would be thirty times as slow.
#pragma once

namespace {

#if defined(__AVX__)
constexpr int kVectorBytes = 32;  // AVX-512 too: longer vectors gain nothing on panels of 64 bytes
constexpr int kSums =
    12;  // vectors of sums that a block holds; the rest of 16 registers is for what is added
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr int kSums = 24;  // of 32 registers
#else
constexpr int kVectorBytes = 16;
constexpr int kSums = 12;
#endif

}  // namespace
