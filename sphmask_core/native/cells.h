// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace {

constexpr int kCells = 48;  // a plane is seen in some of 48 by 48 cells

}  // namespace
