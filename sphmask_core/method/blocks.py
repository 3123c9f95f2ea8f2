# SPDX-License-Identifier: Apache-2.0
"""Clouds too large for one piece: overlapping blocks, each segmented on its own, and their instances merged.

A block is a tile of the upright frame's x, y plane and MARGIN voxels around it. Within half a margin of its
border the network has seen too little, and its answer there is dropped; what is left of two neighbors
overlaps in a band one margin wide. Masks that agree in that band are parts of one instance, which so is never
cut at a border; each voxel then follows the block whose tile it lies in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from sphmask_core.config import Config
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.spherical import MIN_RAY, sectors
from sphmask_core.method.voxels import VoxelBatch

Find = Callable[[VoxelBatch], Candidates]
Follow = Callable[[list[Any]], Iterable[Any]]
"""Gives the elements of a list one by one, and does what it likes meanwhile: a bar of progress."""

MARGIN = 60
"""Voxels around a tile that the network sees too; no side of a tile is shorter."""
TRUSTED = MARGIN // 2
"""Voxels around a tile where the block's answer counts."""
AGREEMENT = 0.5
"""IoU, where both blocks' answers count, from which two masks are parts of one instance."""
WHOLE = 0.9
"""Share of an instance from which one block has seen it whole; its center and rays are then that block's."""


@dataclass(frozen=True)
class Tile:
    """A rectangle of voxels, from `low`, which is included, to `high`, which is not."""

    low: tuple[int, int]
    high: tuple[int, int]

    def holds(self, xy: np.ndarray, margin: int = 0) -> np.ndarray:
        """Returns (n,) bool: which voxels at xy (n, 2) lie in the tile grown by `margin`."""
        (x, y), (x_low, y_low), (x_high, y_high) = xy.T, self.low, self.high
        inside: np.ndarray = (x >= x_low - margin) & (x < x_high + margin)
        inside &= (y >= y_low - margin) & (y < y_high + margin)
        return inside

    def near(self, other: Tile, margin: int) -> bool:
        """Returns whether the two tiles, each grown by `margin`, overlap."""
        gaps = [max(self.low[i], other.low[i]) - min(self.high[i], other.high[i]) for i in (0, 1)]
        return max(gaps) < 2 * margin

    def halves(self, axis: int, at: int) -> tuple[Tile, Tile]:
        """Returns the two parts of the tile, cut at coordinate `at` of an axis."""
        below, above = list(self.high), list(self.low)
        below[axis] = above[axis] = at
        return Tile(self.low, (below[0], below[1])), Tile((above[0], above[1]), self.high)


@dataclass
class Part:
    """Holds the network's answer for one block."""

    tile: Tile
    rows: np.ndarray
    """(n,) int32: the cloud's voxels where it counts, ascending."""
    superpoints: np.ndarray
    """(n,) superpoint of each of them, as the block numbers them."""
    masks: np.ndarray
    """(I, S) bool, over the block's superpoints."""
    candidates: Candidates
    """The same instances with their scores, classes, centers and rays."""

    def mask(self, i: int) -> np.ndarray:
        """Returns the cloud's voxels in instance i, ascending."""
        return self.rows[self.masks[i, self.superpoints]]


@dataclass
class JoinedInstance:
    """An instance of the whole cloud."""

    rows: np.ndarray
    """(n,) int32: its voxels, ascending."""
    candidates: Candidates
    """One row with its score, class, center and rays."""


def find_in_cloud(
    find: Find,
    voxels: VoxelBatch,
    config: Config,
    stage: Callable[[str], None],
    follow: Follow = iter,
) -> tuple[Candidates, Tensor]:
    """Find the instances of one cloud, in blocks where it is large.

    Returns the instances as masks over segments, and the segment (V,) of each voxel. `find` gets at most
    `block_voxels` voxels at once; where these are all voxels, segments are superpoints. `stage` is told
    whenever blocks are cut out or merged; `follow` gives the tiles back one by one, as a bar of progress
    does.
    """
    if len(voxels.coords) <= config.inference.block_voxels:
        return find(voxels), voxels.superpoints
    stage("merge")
    xy = voxels.coords[:, 1:3].cpu().numpy()
    tiles = make_tiles(xy, config.inference.block_voxels)
    counts = torch.bincount(voxels.point_to_voxel, minlength=len(xy))
    parts = []
    for tile in follow(tiles):
        stage("merge")
        parts.append(_segment_block(find, voxels, counts, xy, tile))
    stage("merge")
    owner = np.empty(len(xy), np.int32)
    for number, tile in enumerate(tiles):
        owner[tile.holds(xy)] = number
    groups = _groups(parts, xy, config.whole_ids)
    stage("merge")
    joined = [_join(parts, members, owner, voxels.xyz, config.model.rays) for members in groups]
    none = Candidates.none(1, config.model.rays, voxels.xyz.device)
    return _over_segments([instance for instance in joined if instance is not None], none, len(xy))


def make_tiles(xy: np.ndarray, budget: int) -> list[Tile]:
    """Returns tiles that cover all voxels at xy (V, 2).

    A tile with its margin has at most `budget` voxels, unless its sides are too short to be cut.
    """
    low, high = xy.min(0), xy.max(0) + 1
    return _split(Tile((int(low[0]), int(low[1])), (int(high[0]), int(high[1]))), xy, budget)


def _split(tile: Tile, xy: np.ndarray, budget: int) -> list[Tile]:
    xy = xy[tile.holds(xy, MARGIN)]
    inside = xy[tile.holds(xy)]
    if not len(inside):
        return []
    sides = np.subtract(tile.high, tile.low)
    axis = int(sides.argmax())
    if len(xy) <= budget or sides[axis] < 2 * MARGIN:
        return [tile]
    middle = np.clip(np.median(inside[:, axis]), tile.low[axis] + MARGIN, tile.high[axis] - MARGIN)
    return [part for half in tile.halves(axis, int(middle)) for part in _split(half, xy, budget)]


def _segment_block(find: Find, voxels: VoxelBatch, counts: Tensor, xy: np.ndarray, tile: Tile) -> Part:
    """Returns the instances of a tile and its margin, without voxels that are near the block's border."""
    rows = np.flatnonzero(tile.holds(xy, MARGIN))
    block, shift = _take(voxels, counts, torch.from_numpy(rows).to(voxels.coords.device))
    candidates = find(block)
    candidates = replace(candidates, centers=candidates.centers + shift)
    trusted = tile.holds(xy[rows], TRUSTED)
    return Part(
        tile,
        rows[trusted].astype(np.int32),
        block.superpoints.cpu().numpy()[trusted],
        candidates.masks.cpu().numpy(),
        candidates,
    )


def _take(voxels: VoxelBatch, counts: Tensor, rows: Tensor) -> tuple[VoxelBatch, Tensor]:
    """Returns some voxels as a cloud of their own, and the shift (3,) that was subtracted from them.

    After the shift the mean x and y of the points are zero. counts (V,): points of each voxel.
    """
    counts = counts[rows]
    points = torch.repeat_interleave(counts)
    xyz = voxels.xyz[rows]
    shift = (xyz * (counts / len(points))[:, None]).sum(0) * xyz.new_tensor([1, 1, 0])
    xyz = xyz - shift
    features = voxels.features[rows]
    if features.shape[1] > 3:
        features = torch.cat([features[:, :3], xyz], dim=1)
    unique, numbers = torch.unique(voxels.superpoints[rows], return_inverse=True)
    return VoxelBatch(voxels.coords[rows], xyz, features, points, numbers, [0, len(unique)]), shift


def _groups(
    parts: Sequence[Part], xy: np.ndarray, whole_classes: Sequence[int]
) -> list[list[tuple[int, int]]]:
    """Returns groups of (part, instance): the masks in a group are parts of one instance."""
    nodes = [(number, i) for number, part in enumerate(parts) for i in range(len(part.candidates))]
    place = {node: index for index, node in enumerate(nodes)}
    edges = [
        (place[a, i], place[b, j])
        for a, b in combinations(range(len(parts)), 2)
        if parts[a].tile.near(parts[b].tile, TRUSTED)
        for i, j in _agreements(parts[a], parts[b], xy)
    ]
    for class_id in whole_classes:  # the class is one instance, however far its parts lie from each other
        edges += pairwise(place[a, i] for a, i in nodes if int(parts[a].candidates.class_ids[i]) == class_id)
    first, second = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges), bool), (first, second)), shape=(len(nodes), len(nodes)))
    numbers = connected_components(graph, directed=False)[1] if nodes else np.zeros(0, int)
    groups: dict[int, list[tuple[int, int]]] = {}
    for node, number in zip(nodes, numbers.tolist(), strict=True):
        groups.setdefault(number, []).append(node)
    return list(groups.values())


def _agreements(a: Part, b: Part, xy: np.ndarray) -> list[tuple[int, int]]:
    """Returns pairs of masks of two blocks that agree where both count; each mask is in one pair at most."""
    of_a = a.superpoints[b.tile.holds(xy[a.rows], TRUSTED)]  # of the voxels where both count
    of_b = b.superpoints[a.tile.holds(xy[b.rows], TRUSTED)]
    numbers, first, counts = np.unique(of_a, return_index=True, return_counts=True)
    masks_a, masks_b = a.masks[:, numbers] * counts.astype(np.float32), b.masks[:, of_b[first]]
    shared = masks_a @ masks_b.T.astype(np.float32)
    union = masks_a.sum(1)[:, None] + masks_b @ counts.astype(np.float32) - shared
    same_class = (a.candidates.class_ids[:, None] == b.candidates.class_ids).cpu().numpy()
    iou = shared / np.maximum(union, 1) * same_class
    scores = (a.candidates.scores[:, None] * b.candidates.scores).cpu().numpy()
    weight = np.where(iou >= AGREEMENT, iou * scores, -1)
    pairs: list[tuple[int, int]] = []
    while weight.size and weight.max() >= 0:
        i, j = np.unravel_index(weight.argmax(), weight.shape)
        pairs.append((int(i), int(j)))
        weight[i], weight[:, j] = -1, -1
    return pairs


def _join(
    parts: Sequence[Part],
    members: Sequence[tuple[int, int]],
    owner: np.ndarray,
    xyz: Tensor,
    rays: tuple[int, int],
) -> JoinedInstance | None:
    """Join the masks of one instance. Returns None for a mask that lies mostly in another tile, if that
    tile's own block has no such mask.

    members: (part, instance); owner (V,): the part in whose tile each voxel lies.
    """
    numbers = [number for number, _ in members]
    masks = [parts[number].mask(i) for number, i in members]
    sizes = [len(mask) for mask in masks]
    rows, source = np.concatenate(masks), np.repeat(numbers, sizes)
    if len(members) > 1:
        inside = np.zeros(len(owner), bool)
        inside[rows[(owner[rows] == source) | ~np.isin(owner[rows], numbers)]] = True
        rows = np.flatnonzero(inside).astype(np.int32)
    elif len(rows) and np.bincount(owner[rows]).argmax() != numbers[0]:
        return None
    if not len(rows):
        return None
    number, i = members[int(np.argmax(sizes))]
    candidates = parts[number].candidates[torch.tensor([i], device=xyz.device)]
    scores = [float(parts[number].candidates.scores[i]) for number, i in members]
    candidates.scores = torch.full_like(candidates.scores, float(np.average(scores, weights=sizes)))
    if max(sizes) < WHOLE * len(rows):
        center, lengths = measure_rays(xyz[torch.from_numpy(rows).to(xyz.device)], rays)
        candidates = replace(candidates, centers=center[None], rays=lengths[None])
    return JoinedInstance(rows, candidates)


def measure_rays(xyz: Tensor, rays: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Returns the centroid (3,) of an instance's voxels (n, 3), and their largest distance by sector (R,)."""
    center = xyz.mean(0)
    offsets = xyz - center
    lengths = xyz.new_full((rays[0] * rays[1],), MIN_RAY)
    return center, lengths.scatter_reduce_(0, sectors(offsets, rays), offsets.norm(dim=1), "amax")


def _over_segments(
    joined: Sequence[JoinedInstance], none: Candidates, num_voxels: int
) -> tuple[Candidates, Tensor]:
    """Returns the instances as masks over segments, and the segment (V,) of each voxel.

    A segment is the set of all voxels that are in the same instances. Each instance gets a random 63-bit
    number; voxels with the same sum of these numbers are in the same instances.
    """
    keys = np.random.default_rng(0).integers(1, 2**63, len(joined), dtype=np.uint64)
    sums = np.zeros(num_voxels, np.uint64)
    for key, instance in zip(keys, joined, strict=True):
        sums[instance.rows] += key
    unique, segments = np.unique(sums, return_inverse=True)
    masks = np.zeros((len(joined), len(unique)), bool)
    for mask, instance in zip(masks, joined, strict=True):
        mask[segments[instance.rows]] = True
    device = none.scores.device
    rows = [none, *(instance.candidates for instance in joined)]
    columns = [
        torch.cat([getattr(candidates, name) for candidates in rows])
        for name in ("scores", "class_ids", "centers", "rays")
    ]
    return Candidates(torch.from_numpy(masks).to(device), *columns), torch.from_numpy(segments).to(device)
