# SPDX-License-Identifier: Apache-2.0
"""The same object, the same id: instances followed from frame to frame by the space that they fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

from sphmask_core.method.instances import Instances

NEW, KEPT, FOUND_AGAIN = range(3)
"""States of an instance: its object was never seen before; was in the frame before; was lost for a while."""
OVERLAP = 0.2
"""IoU, in coarse voxels, from which an instance is an object of the frame before."""
MEMORY = 10.0
"""Seconds for which an object that is out of sight keeps its id."""
COARSE = 4
"""Edge of the voxels whose overlap is measured, in the model's voxels: wider than a sensor's noise."""
SAMPLED = 2048
"""Points of an instance that are looked at."""
BITS = 21
"""Of each coordinate of a voxel in its key."""


@dataclass(frozen=True)
class Tracks:
    """What became of the objects in one frame."""

    ids: np.ndarray
    """(I,) uint32: the object of each instance, from 1."""
    states: np.ndarray
    """(I,) uint8: NEW, KEPT or FOUND_AGAIN."""
    lost: np.ndarray
    """(L,) uint32: objects of the frame before that are not in this one."""

    @staticmethod
    def none(count: int) -> Tracks:
        """Instances that nobody follows: numbered from 1, best score first."""
        ids = np.arange(1, count + 1, dtype=np.uint32)
        return Tracks(ids, np.full(count, NEW, np.uint8), np.empty(0, np.uint32))

    def of_points(self, labels: np.ndarray) -> np.ndarray:
        """(N,) uint32: the object of each point, 0 for none, from labels (N,) of this frame's instances."""
        return np.concatenate([np.zeros(1, np.uint32), self.ids])[labels]


@dataclass
class _Object:
    id: int
    class_id: int
    voxels: np.ndarray
    """(V,) int64, ascending: keys of the coarse voxels it filled when it was last seen."""
    seen: float
    """When that was, seconds."""
    lost: bool


class Tracker:
    """Gives each object an id that it keeps while it is seen, and for `memory` seconds when it is not.

    Instances are matched with the objects of their class whose last seen voxels they overlap most (all
    together, Hungarian). Ids are never used again.
    """

    def __init__(self, voxel_size: float, first_id: int = 1) -> None:
        self.next_id = first_id
        self._edge = COARSE * voxel_size
        self._objects: list[_Object] = []
        self._now = -np.inf

    def update(
        self,
        xyz: np.ndarray,
        found: Instances,
        now: float,
        pose: np.ndarray | None = None,
        overlap: float = OVERLAP,
        memory: float = MEMORY,
    ) -> Tracks:
        """Follow the objects into the next frame.

        xyz (N, 3) meters; now: seconds; pose (4, 4): from the cloud's frame to one at rest, None: the sensor
        stands still; overlap: least IoU of an instance with an object it is; memory: seconds for which an
        object keeps its id unseen. A clock that goes back (a bag played again) makes nothing older.
        """
        self._advance(now, memory)
        voxels = self._voxels(xyz, [found.points(i) for i in range(len(found))], pose)
        before = {item.id for item in self._objects if not item.lost}
        matches = self._match(voxels, found.class_ids, overlap)
        tracks = [self._follow(*row) for row in zip(matches, found.class_ids, voxels, strict=True)]
        ids = [item.id for item, _ in tracks]
        for item in self._objects:
            item.lost = item.id not in ids
        return Tracks(
            ids=np.array(ids, np.uint32),
            states=np.array([state for _, state in tracks], np.uint8),
            lost=np.array(sorted(before.difference(ids)), np.uint32),
        )

    def forget(self) -> None:
        """Start anew, as in another place; ids go on."""
        self._objects.clear()

    def _advance(self, now: float, memory: float) -> None:
        for item in self._objects if now < self._now else ():
            item.seen += now - self._now
        self._now = now
        self._objects = [item for item in self._objects if now - item.seen <= memory]

    def _voxels(
        self, xyz: np.ndarray, points: Sequence[np.ndarray], pose: np.ndarray | None
    ) -> list[np.ndarray]:
        """(V,) ascending keys of the coarse voxels that some of each instance's points are in."""
        samples = [part[:: len(part) // SAMPLED + 1] for part in points]
        sample = xyz[np.concatenate([np.empty(0, np.int64), *samples])].astype(np.float64)
        if pose is not None:
            sample = sample @ pose[:3, :3].T + pose[:3, 3]
        x, y, z = np.floor(sample / self._edge).astype(np.int64).T & (1 << BITS) - 1
        keys = x | y << BITS | z << 2 * BITS
        ends = np.cumsum([len(part) for part in samples], dtype=np.int64)
        return [np.unique(part) for part in np.split(keys, ends)[:-1]]

    def _match(
        self, voxels: Sequence[np.ndarray], class_ids: np.ndarray, overlap: float
    ) -> list[_Object | None]:
        """The object of each instance, None for a new one."""
        matches: list[_Object | None] = [None] * len(voxels)
        if not voxels or not self._objects:
            return matches
        iou = _overlaps([item.voxels for item in self._objects], voxels)
        iou *= np.array([item.class_id for item in self._objects])[:, None] == class_ids
        for row, column in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
            if iou[row, column] >= overlap:
                matches[column] = self._objects[row]
        return matches

    def _follow(self, item: _Object | None, class_id: int, voxels: np.ndarray) -> tuple[_Object, int]:
        """The object of an instance as it is now, and the instance's state."""
        if item is None:
            item = _Object(self.next_id, int(class_id), voxels, self._now, lost=False)
            self.next_id += 1
            self._objects.append(item)
            return item, NEW
        item.voxels, item.seen = voxels, self._now
        return item, FOUND_AGAIN if item.lost else KEPT


def _overlaps(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """IoU (A, B) of two lists of sets, each (V,) of unique numbers."""
    sizes = np.array([len(keys) for keys in (*a, *b)])
    voxels = np.unique(np.concatenate([*a, *b]), return_inverse=True)[1]
    members = csr_matrix((np.ones(len(voxels)), voxels, np.cumsum([0, *sizes])))
    common = (members[: len(a)] @ members[len(a) :].T).toarray()
    return common / np.maximum(sizes[: len(a), None] + sizes[len(a) :] - common, 1)
