// SPDX-License-Identifier: Apache-2.0
// What the processor that is compiled for adds at once. Vectors longer than its registers would be right too,
// but gcc takes them apart to single numbers, and the kernels would be thirty times as slow.
#pragma once

namespace {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kLongVectorBytes = 64;  // long ones where there are panels enough for them
constexpr int kSums = 12;  // vectors of sums that a block holds; the other registers are for what is added
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kLongVectorBytes = 32;
constexpr int kSums = 12;  // of 16 registers
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kLongVectorBytes = 16;
constexpr int kSums = 24;  // of 32 registers
#else
constexpr int kVectorBytes = 16, kLongVectorBytes = 16;
constexpr int kSums = 12;
#endif
constexpr int kBlockRows = 6;  // at most: the addresses of more rows would not stay in registers

}  // namespace
