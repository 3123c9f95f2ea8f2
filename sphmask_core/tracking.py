# SPDX-License-Identifier: Apache-2.0
"""The same object, the same id: instances followed from frame to frame by the space that they fill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

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
SMOOTHING = 0.5
"""Time constant of the velocities, seconds: at rest, a depth camera's frames differ by millimeters."""
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
    velocities: np.ndarray
    """(I, 3) float32, meters a second: smoothed motion of each object's middle in the frame at rest."""
    ages: np.ndarray
    """(I,) float32: seconds since each object was first seen."""
    unseen: np.ndarray
    """(I,) float32: seconds since it was last seen before this frame; 0 for a new one."""
    remembered: np.ndarray
    """(M,) uint32: objects that are out of sight but keep their id."""
    remembered_unseen: np.ndarray
    """(M,) float32: seconds since each of them was last seen."""

    @staticmethod
    def none(count: int) -> Tracks:
        """Instances that nobody follows: numbered from 1, best score first."""
        ids = np.arange(1, count + 1, dtype=np.uint32)
        nobody, times = np.empty(0, np.uint32), np.zeros(count, np.float32)
        motion = np.zeros((count, 3), np.float32)
        states = np.full(count, NEW, np.uint8)
        return Tracks(ids, states, nobody, motion, times, times, nobody, np.empty(0, np.float32))

    def of_points(self, labels: np.ndarray) -> np.ndarray:
        """(N,) uint32: the object of each point, 0 for none, from labels (N,) of this frame's instances."""
        return np.concatenate([np.zeros(1, np.uint32), self.ids])[labels]


@dataclass
class _Object:
    id: int
    class_id: int
    voxels: np.ndarray
    """(V,) int64, ascending: keys of the coarse voxels it filled when it was last seen."""
    middle: np.ndarray
    """(3,) float64: mean of its points then, in the frame at rest."""
    seen: float
    """When that was, seconds."""
    first: float
    """When it was first seen, seconds."""
    lost: bool = False
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """(3,) meters a second, smoothed."""
    unseen: float = 0.0
    """Seconds that it had not been seen for when it was last seen."""

    def see(self, voxels: np.ndarray, middle: np.ndarray, now: float) -> None:
        """It is in this frame, there."""
        self.unseen = now - self.seen
        if self.unseen > 0:
            weight = 1 - np.exp(-self.unseen / SMOOTHING)
            self.velocity = self.velocity + weight * ((middle - self.middle) / self.unseen - self.velocity)
        self.voxels, self.middle, self.seen = voxels, middle, now


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
        instances: Instances,
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
        samples = _samples(xyz, [instances.points(i) for i in range(len(instances))], pose)
        voxels = [self._voxels(sample) for sample in samples]
        before = {item.id for item in self._objects if not item.lost}
        matches = self._match(voxels, instances.class_ids, overlap)
        middles = [sample.mean(0) if len(sample) else np.zeros(3) for sample in samples]
        rows = zip(matches, instances.class_ids, voxels, middles, strict=True)
        tracks = [self._follow(*row) for row in rows]
        ids = [item.id for item, _ in tracks]
        for item in self._objects:
            item.lost = item.id not in ids
        hidden = [item for item in self._objects if item.lost]
        return Tracks(
            ids=np.array(ids, np.uint32),
            states=np.array([state for _, state in tracks], np.uint8),
            lost=np.array(sorted(before.difference(ids)), np.uint32),
            velocities=np.array([item.velocity for item, _ in tracks], np.float32).reshape(-1, 3),
            ages=np.array([now - item.first for item, _ in tracks], np.float32),
            unseen=np.array([item.unseen for item, _ in tracks], np.float32),
            remembered=np.array([item.id for item in hidden], np.uint32),
            remembered_unseen=np.array([now - item.seen for item in hidden], np.float32),
        )

    def forget(self) -> None:
        """Start anew, as in another place; ids go on."""
        self._objects.clear()

    def _advance(self, now: float, memory: float) -> None:
        for item in self._objects if now < self._now else ():
            item.seen += now - self._now
            item.first += now - self._now
        self._now = now
        self._objects = [item for item in self._objects if now - item.seen <= memory]

    def _voxels(self, sample: np.ndarray) -> np.ndarray:
        """(V,) ascending keys of the coarse voxels that points (n, 3) are in."""
        x, y, z = np.floor(sample / self._edge).astype(np.int64).T & (1 << BITS) - 1
        return np.unique(x | y << BITS | z << 2 * BITS)

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

    def _follow(
        self, item: _Object | None, class_id: int, voxels: np.ndarray, middle: np.ndarray
    ) -> tuple[_Object, int]:
        """The object of an instance as it is now, and the instance's state."""
        if item is None:
            item = _Object(self.next_id, int(class_id), voxels, middle, self._now, self._now)
            self.next_id += 1
            self._objects.append(item)
            return item, NEW
        item.see(voxels, middle, self._now)
        return item, FOUND_AGAIN if item.lost else KEPT


def _samples(xyz: np.ndarray, points: Sequence[np.ndarray], pose: np.ndarray | None) -> list[np.ndarray]:
    """(n, 3) float64: some of each instance's points in the frame at rest, of a cloud (N, 3)."""
    rows = [part[:: len(part) // SAMPLED + 1] for part in points]
    sample = xyz[np.concatenate([np.empty(0, np.int64), *rows])].astype(np.float64)
    if pose is not None:
        sample = sample @ pose[:3, :3].T + pose[:3, 3]
    ends = np.cumsum([len(part) for part in rows], dtype=np.int64)
    return np.split(sample, ends)[:-1]


def _overlaps(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """IoU (A, B) of two lists of sets, each (V,) of unique numbers."""
    sizes = np.array([len(keys) for keys in (*a, *b)])
    voxels = np.unique(np.concatenate([*a, *b]), return_inverse=True)[1]
    members = csr_matrix((np.ones(len(voxels)), voxels, np.cumsum([0, *sizes])))
    common = (members[: len(a)] @ members[len(a) :].T).toarray()
    return common / np.maximum(sizes[: len(a), None] + sizes[len(a) :] - common, 1)
