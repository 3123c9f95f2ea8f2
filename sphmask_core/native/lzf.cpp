// SPDX-License-Identifier: Apache-2.0
// LZF decompression, for PCD files of kind binary_compressed.
//
// A control byte c < 32 is followed by c + 1 literal bytes. Otherwise c's upper three bits are a length (7:
// add the next byte), its lower five bits and one more byte a distance back: length + 2 bytes are repeated
// from there.

#include <cstdint>
#include <cstring>

#include "guard.h"
#include "kernels.h"

namespace {

int64_t decompress(const uint8_t* in, int64_t in_size, uint8_t* out, int64_t out_size) {
  const uint8_t* const in_end = in + in_size;
  int64_t written = 0;
  while (in < in_end) {
    const int64_t control = *in++;
    if (control < 32) {
      const int64_t length = control + 1;
      if (length > in_end - in || length > out_size - written) return -1;
      std::memcpy(out + written, in, static_cast<size_t>(length));
      in += length;
      written += length;
      continue;
    }
    int64_t length = control >> 5;
    if (in_end - in < (length == 7 ? 2 : 1)) return -1;
    if (length == 7) length += *in++;
    length += 2;
    const int64_t distance = ((control & 31) << 8) + *in++ + 1;
    if (distance > written || length > out_size - written) return -1;
    for (int64_t i = 0; i < length; ++i, ++written)
      out[written] = out[written - distance];  // may overlap itself
  }
  return written;
}

}  // namespace

const char* sphmask_lzf_decompress(const uint8_t* packed, uint8_t* unpacked, int64_t* written,
                                   int64_t packed_size, int64_t unpacked_size) {
  *written = decompress(packed, packed_size, unpacked, unpacked_size);
  return kFine;
}
