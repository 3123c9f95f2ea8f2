# SPDX-License-Identifier: Apache-2.0
"""The convolutions of a sparse U-Net as modules; weights keep the published layout (out, k, k, k, in)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sphmask_core.sparse.functional import gather_convolve
from sphmask_core.sparse.maps import Level


class _SparseConv(nn.Module):
    """A bias-free convolution with a cubic kernel of `size` voxels."""

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, size, size, size, in_channels))
        bound = 1 / math.sqrt(in_channels * size**3)
        nn.init.uniform_(self.weight, -bound, bound)

    def kernel(self) -> Tensor:
        """(K, in, out), K in row-major order of the window."""
        return self.weight.flatten(1, 3).permute(1, 2, 0)


class SubmanifoldConv(_SparseConv):
    """3^3 convolution that keeps the set of voxels: (V, in) -> (V, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=3)

    def forward(self, x: Tensor, level: Level) -> Tensor:
        return gather_convolve(x, self.kernel(), level.neighbours)


class DownConv(_SparseConv):
    """k = 2, s = 2: voxels of a level (V, in) -> the next, coarser level (V', out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=2)

    def forward(self, x: Tensor, level: Level) -> Tensor:
        assert level.children is not None and level.parents is not None
        return gather_convolve(x, self.kernel(), level.children, level.parents)


class UpConv(_SparseConv):
    """Inverse of DownConv over the same voxel pairs: (V', in) -> (V, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=2)

    def forward(self, x: Tensor, level: Level) -> Tensor:
        assert level.children is not None and level.parents is not None
        return gather_convolve(x, self.kernel(), level.parents, level.children)


class PointwiseConv(_SparseConv):
    """1^3 convolution: a matrix product, kept in the published layout."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=1)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.kernel()[0]
