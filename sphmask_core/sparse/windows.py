# SPDX-License-Identifier: Apache-2.0
"""Sparse convolutions with any kernel, stride and dilation, for backbones other than the published one."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sphmask_core.sparse.functional import gather_convolve
from sphmask_core.sparse.maps import MAX_COORDINATE, KernelMap, number_by_first_appearance, pack, unpack


@dataclass(frozen=True)
class WindowMaps:
    """Which voxels a convolution reads, seen from both of its sides; K = kernel^3 offsets."""

    forward: KernelMap
    """(K, V'): the row of the source that each target voxel reads at each offset, -1: none."""
    backward: KernelMap
    """(K, V): the row of the target that reads each source voxel at each offset, -1: none."""

    def reversed(self) -> WindowMaps:
        """Returns the maps of the transposed convolution, from the targets back to the sources."""
        return WindowMaps(self.backward, self.forward)


def coarsen(coords: Tensor, stride: int) -> Tensor:
    """Returns the voxels `stride` times as large that hold one of coords (V, 4) int32: (V', 4), in order of
    appearance."""
    scene, position = coords[:, :1], coords[:, 1:]
    coarse = torch.cat([scene, position.div(stride, rounding_mode="floor")], dim=1).int()
    keys = pack(coarse)
    return unpack(keys[number_by_first_appearance(keys)[1]])


def window_maps(
    source: Tensor, target: Tensor, kernel: int, stride: int = 1, dilation: int = 1
) -> WindowMaps:
    """Returns the maps of a convolution from the voxels source (V, 4) int32 to target (V', 4) int32.

    Voxels are scene, x, y, z. The target voxel at c reads the source voxels at stride * c + dilation * d; the
    K offsets d are in row-major order, from -(kernel // 2) to kernel // 2 where the kernel is odd, from 0
    where it is even.
    """
    first = -(kernel // 2) if kernel % 2 else 0
    steps = itertools.product(range(first, first + kernel), repeat=3)
    offsets = torch.tensor(list(steps), device=source.device) * dilation
    keys, order = pack(source).sort()
    rows = [_find(keys, order, target, offset, stride) for offset in offsets]
    index = torch.stack(rows)
    backward = torch.full((len(offsets), len(source)), -1, dtype=torch.int32, device=source.device)
    offset, row = (index >= 0).nonzero(as_tuple=True)
    backward[offset, index[offset, row].long()] = row.int()
    return WindowMaps(KernelMap(index), KernelMap(backward))


def _find(keys: Tensor, order: Tensor, target: Tensor, offset: Tensor, stride: int) -> Tensor:
    """Returns the rows (V',) int32 of the source at one offset, -1: none; keys are sorted, `order` are their
    rows."""
    wanted = target[:, 1:].long() * stride + offset
    inside = ((wanted >= 0) & (wanted <= MAX_COORDINATE)).all(1)
    wanted = torch.cat([target[:, :1].long(), wanted.clamp(0, MAX_COORDINATE)], dim=1)
    key = pack(wanted.int())
    place = torch.searchsorted(keys, key).clamp_(max=max(len(keys) - 1, 0))
    return torch.where(inside & (keys[place] == key), order[place], -1).int()


class WindowConv(nn.Module):
    """Convolves without bias over `window_maps` of the same kernel: (V, in) -> (V', out)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kernel**3, in_channels, out_channels))
        bound = 1 / math.sqrt(in_channels * kernel**3)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor, maps: WindowMaps) -> Tensor:
        """Returns features (V', out) of the targets from x (V, in) of the sources."""
        return gather_convolve(x, self.weight, maps.forward, maps.backward)
