# SPDX-License-Identifier: Apache-2.0
"""The convolutions of a sparse U-Net as modules; weights keep the published layout (out, k, k, k, in)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sphmask_core.sparse import cpu_engine
from sphmask_core.sparse.functional import gather_convolve
from sphmask_core.sparse.kept import writes
from sphmask_core.sparse.maps import KernelMap, Level
from sphmask_core.sparse.spconv_engine import SpconvLevel

AnyLevel = Level | SpconvLevel
Map = KernelMap | Callable[[Tensor, Tensor], Tensor]
"""Kernel maps, or the function of features and weights that spconv's level has in their place."""


def norm_relu(x: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Returns ReLU(norm(x)) of x (V, C)."""
    return cpu_engine.norm_relu(x, norm) if fuses(x, norm) else norm(x).relu()


def fuses(x: Tensor, norm: nn.BatchNorm1d | None = None) -> bool:
    """Returns whether the fused kernels apply: in inference on the CPU a norm is a fixed scale and shift."""
    plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and not torch.is_grad_enabled() and (norm is None or not norm.training)


class SparseConv(nn.Module):
    """Convolves without bias, with a cubic kernel of `size` voxels."""

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
        """Returns the kernel as the C++ kernel reads it, kept for as long as the weights stay as they are."""
        weights = self.weight.data_ptr(), writes(self.weight)
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
        """Returns the convolution by `kernel_map`, added to `start` where given; then, where given, norm and
        ReLU."""
        if not isinstance(kernel_map, KernelMap):
            y = kernel_map(x, self.weight)
        elif fuses(x, norm):
            return cpu_engine.convolve_packed(x, kernel_map, self.packed(), len(self.weight), start, norm)
        else:
            assert transposed is None or isinstance(transposed, KernelMap)
            y = gather_convolve(x, self.kernel(), kernel_map, transposed)
        y = y if start is None else y + start
        return y if norm is None else norm(y).relu()


class SubmanifoldConv(SparseConv):
    """3^3 convolution that keeps the set of voxels: (V, in) -> (V, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=3)

    def forward(
        self, x: Tensor, level: AnyLevel, norm: nn.BatchNorm1d | None = None, start: Tensor | None = None
    ) -> Tensor:
        """Returns the convolution, added to `start` (V, out) where given; then, where given, norm and
        ReLU."""
        return self.convolve(x, level.neighbors, norm=norm, start=start)


class DownConv(SparseConv):
    """Convolves voxels of a level (V, in) to the next, coarser level (V', out): kernel 2, stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=2)

    def forward(self, x: Tensor, level: AnyLevel) -> Tensor:
        """Returns features (V', out) of the coarser level from x (V, in)."""
        assert level.children is not None and level.parents is not None
        return self.convolve(x, level.children, level.parents)


class UpConv(SparseConv):
    """Convolves back over the voxel pairs of DownConv: (V', in) -> (V, out)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=2)

    def forward(self, x: Tensor, level: AnyLevel) -> Tensor:
        """Returns features (V, out) of the finer level from x (V', in)."""
        assert level.children is not None and level.parents is not None
        return self.convolve(x, level.parents, level.children)


class PointwiseConv(SparseConv):
    """Convolves with a kernel of one voxel: a matrix product, with weights in the published layout."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns features (V, out) of x (V, in)."""
        return x @ self.kernel()[0]
