# SPDX-License-Identifier: Apache-2.0
"""The convolutions of a sparse U-Net as modules; weights keep the published layout (out, k, k, k, in)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sphmask_core.sparse import cpu_engine
from sphmask_core.sparse.functional import gather_convolve
from sphmask_core.sparse.maps import KernelMap, Level
from sphmask_core.sparse.spconv_engine import SpconvLevel

AnyLevel = Level | SpconvLevel
Map = KernelMap | Callable[[Tensor, Tensor], Tensor]
"""Kernel maps, or the function of features and weights that spconv's level has in their place."""


def norm_relu(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """ReLU(norm(x)) of x (V, C)."""
    return cpu_engine.norm_relu(x, norm) if _fuses(x, norm) else norm(x).relu()


def _fuses(x: Tensor, norm: nn.BatchNorm1d | None = None) -> bool:
    """Whether the fused kernels apply: in inference on the CPU a norm is a fixed scale and shift."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and not torch.is_grad_enabled() and (norm is None or not norm.training)


class _SparseConv(nn.Module):
    """A bias-free convolution with a cubic kernel of `size` voxels."""

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, size, size, size, in_channels))
        bound = 1 / math.sqrt(in_channels * size**3)
        nn.init.uniform_(self.weight, -bound, bound)
        self._packed: tuple[tuple[int, int], Tensor] | None = None

    def kernel(self) -> Tensor:
        """Returns the weights as (K, in, out), with K in row-major order of the window."""
        return self.weight.flatten(1, 3).permute(1, 2, 0)

    def packed(self) -> Tensor:
        """The kernel as the C++ kernel reads it, kept for as long as the weights stay as they are."""
        changes = 0 if self.weight.is_inference() else self.weight._version  # noqa: SLF001  torch's own count
        weights = self.weight.data_ptr(), changes
        if self._packed is None or self._packed[0] != weights:
            self._packed = weights, cpu_engine.pack_panels(self.kernel())
        return self._packed[1]

    def convolve(
        self,
        x: Tensor,
        kernel_map: Map,
        transposed: Map | None = None,
        norm: nn.BatchNorm1d | None = None,
        start: Tensor | None = None,
    ) -> Tensor:
        """The convolution by `kernel_map`, added to `start` where given; then, where given, norm and ReLU."""
        if not isinstance(kernel_map, KernelMap):
            y = kernel_map(x, self.weight)
        elif _fuses(x, norm):
            return cpu_engine.convolve_packed(x, kernel_map, self.packed(), len(self.weight), start, norm)
        else:
            assert transposed is None or isinstance(transposed, KernelMap)
            y = gather_convolve(x, self.kernel(), kernel_map, transposed)
        y = y if start is None else y + start
        return y if norm is None else norm(y).relu()


class SubmanifoldConv(_SparseConv):
    """3^3 convolution that keeps the set of voxels: (V, in) -> (V, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=3)

    def forward(
        self, x: Tensor, level: AnyLevel, norm: nn.BatchNorm1d | None = None, start: Tensor | None = None
    ) -> Tensor:
        """The convolution, added to `start` (V, out) where given; then, where given, norm and ReLU."""
        return self.convolve(x, level.neighbors, norm=norm, start=start)


class DownConv(_SparseConv):
    """k = 2, s = 2: voxels of a level (V, in) -> the next, coarser level (V', out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=2)

    def forward(self, x: Tensor, level: AnyLevel) -> Tensor:
        assert level.children is not None and level.parents is not None
        return self.convolve(x, level.children, level.parents)


class UpConv(_SparseConv):
    """Inverse of DownConv over the same voxel pairs: (V', in) -> (V, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=2)

    def forward(self, x: Tensor, level: AnyLevel) -> Tensor:
        assert level.children is not None and level.parents is not None
        return self.convolve(x, level.parents, level.children)


class PointwiseConv(_SparseConv):
    """1^3 convolution: a matrix product, kept in the published layout."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=1)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.kernel()[0]
