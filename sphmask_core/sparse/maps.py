# SPDX-License-Identifier: Apache-2.0
"""Index maps of sparse convolutions, which say what voxels each voxel reads; made once per forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sphmask_core import native

BITS = native.COORDINATE_BITS
"""Bits of one packed axis; coordinates run from 0 to MAX_COORDINATE."""
MAX_COORDINATE = 2**BITS - 3
WINDOW, OCTANTS = 3**3, 2**3
"""Voxels of the window of a submanifold convolution; voxels that are one of the next, coarser level."""
TILE_ROWS = 128
"""Output rows whose sums stay in the cache while all kernel offsets of a convolution pass."""


@dataclass
class Pairs:
    """The pairs of a kernel map, sorted by tile of output rows, then by offset, as the C++ kernels read
    them."""

    starts: Tensor
    """(tiles * K + 1,) int64: the first pair of each tile and offset"""
    source: Tensor
    """(P,) int32 input rows"""
    target: Tensor
    """(P,) uint8 output rows, counted in their tile"""


@dataclass
class KernelMap:
    """Which input rows a sparse convolution reads; other forms of the map are made when first needed."""

    index: Tensor
    """(K, V) int32: the input row that output row v reads at kernel offset k, -1 = none"""

    def count(self) -> int:
        """Returns the number of pairs of an input row and an output row."""
        return int((self.index >= 0).sum())

    @cached_property
    def pairs(self) -> Pairs:
        """Returns the map's pairs; on the CPU only."""
        index = self.index.contiguous()
        kernel, rows = index.shape
        starts = torch.empty(-(-rows // TILE_ROWS) * kernel + 1, dtype=torch.int64)
        native.count_pairs(index, starts, TILE_ROWS)
        source = torch.empty(int(starts[-1]), dtype=torch.int32)
        target = torch.empty(len(source), dtype=torch.uint8)
        native.list_pairs(index, starts, source, target, TILE_ROWS)
        return Pairs(starts, source, target)


@dataclass
class Level:
    """Holds one level of the U-Net: V voxels and the maps of its convolutions."""

    coords: Tensor
    """(V, 4) int32: scene in the batch, x, y, z."""
    neighbors: KernelMap
    """(27, V): the voxel at each offset of the 3^3 window, row-major over x, y, z."""
    children: KernelMap | None = None
    """(8, V'): voxels of this level under each voxel of the next, by coordinate mod 2."""
    parents: KernelMap | None = None
    """(8, V): the voxel of the next level, in the row of this voxel's coordinate mod 2."""


def pack(coords: Tensor, halvings: int = 0) -> Tensor:
    """Returns one int64 key (V,) for each voxel (V, 4) int32; keys of neighbors differ by constants.

    x, y and z are halved first, `halvings` times.
    """
    if coords.device.type == "cpu":
        coords, keys = coords.contiguous(), torch.empty(len(coords), dtype=torch.int64)
        native.pack(coords, keys, halvings)
        return keys
    return pack_reference(coords, halvings)


def pack_reference(coords: Tensor, halvings: int = 0) -> Tensor:
    """Returns the same by plain torch operations, on any device."""
    batch, x, y, z = coords.long().unbind(1)
    x, y, z = ((axis >> halvings) + 1 for axis in (x, y, z))
    return (((batch << BITS | x) << BITS) | y) << BITS | z


def unpack(keys: Tensor) -> Tensor:
    """Returns the coordinates (V, 4) int32 that `pack` made the keys (V,) from."""
    x, y, z = (((keys >> BITS * axis) & (2**BITS - 1)) - 1 for axis in (2, 1, 0))
    return torch.stack([keys >> 3 * BITS, x, y, z], dim=1).int()


def number_by_first_appearance(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Returns numbers (N,) of keys (N,), 0, 1, ... as they first appear, and the first rows (V,) of each."""
    if keys.device.type != "cpu":
        return number_reference(keys)
    inverse, first = torch.empty_like(keys), torch.empty_like(keys)
    count = native.number_keys(keys, inverse, first)
    return inverse, first[:count].clone()


def number_reference(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the same by plain torch operations, on any device."""
    unique, inverse = torch.unique(keys, return_inverse=True)
    rows = torch.arange(len(keys), device=keys.device)
    first = torch.full_like(unique, len(keys)).scatter_reduce_(0, inverse, rows, "amin")
    first, order = first.sort()
    return order.argsort()[inverse], first


def build_levels(coords: Tensor, num_levels: int) -> list[Level]:
    """Returns the maps of `num_levels` levels, each half as fine as the one before. coords (V, 4) int32."""
    levels = [Level(coords, find_neighbors(coords))]
    for _ in range(num_levels - 1):
        fine = levels[-1]
        fine.children, fine.parents, coarse = _halve(fine.coords)
        levels.append(Level(coarse, find_neighbors(coarse)))
    return levels


def find_neighbors(coords: Tensor) -> KernelMap:
    """Returns the 3^3 window on distinct coordinates (V, 4) int32: a map (27, V)."""
    keys = pack(coords)
    if keys.device.type != "cpu":
        return KernelMap(neighbors_reference(keys))
    neighbors = torch.empty(WINDOW, len(keys), dtype=torch.int32)
    native.find_neighbors(keys, neighbors)
    return KernelMap(neighbors)


def neighbors_reference(keys: Tensor) -> Tensor:
    """Returns the same by plain torch operations, on any device."""
    steps = torch.arange(-1, 2, device=keys.device)
    x, y, z = torch.meshgrid(steps, steps, steps, indexing="ij")
    offsets = ((x << 2 * BITS) + (y << BITS) + z).flatten()
    sorted_keys, order = keys.sort()
    wanted = keys + offsets[:, None]
    place = torch.searchsorted(sorted_keys, wanted).clamp_(max=max(len(keys) - 1, 0))
    return torch.where(sorted_keys[place] == wanted, order[place], -1).int()


def _halve(coords: Tensor) -> tuple[KernelMap, KernelMap, Tensor]:
    """Returns children (8, V'), parents (8, V) and coarse coordinates (V', 4), numbered by first
    appearance."""
    keys = pack(coords, halvings=1)
    parent, first = number_by_first_appearance(keys)
    find = _family_of if coords.device.type == "cpu" else family_reference
    children, parents = find(coords, parent, len(first))
    return KernelMap(children), KernelMap(parents), unpack(keys[first])


def _family_of(coords: Tensor, parent: Tensor, count: int) -> tuple[Tensor, Tensor]:
    coords = coords.contiguous()
    children = torch.empty(OCTANTS, count, dtype=torch.int32)
    parents = torch.empty(OCTANTS, len(coords), dtype=torch.int32)
    native.family(coords, parent, children, parents)
    return children, parents


def family_reference(coords: Tensor, parent: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Returns the same by plain torch operations, on any device."""
    x, y, z = (coords[:, 1:] & 1).long().unbind(1)
    corner = 4 * x + 2 * y + z  # CUDA multiplies no matrices of integers
    rows = torch.arange(len(coords), device=coords.device)
    children = torch.full((OCTANTS, count), -1, dtype=torch.int32, device=coords.device)
    children[corner, parent] = rows.int()
    parents = torch.full((OCTANTS, len(coords)), -1, dtype=torch.int32, device=coords.device)
    parents[corner, rows] = parent.int()
    return children, parents
