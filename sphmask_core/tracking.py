# SPDX-License-Identifier: Apache-2.0
"""The same object, the same id: instances followed by the space that they fill, and by how they move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

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
FASTEST = {"car": 20.0, "truck": 20.0, "cyclist": 10.0, "person": 3.0}
"""Meters a second that objects of a class may move at when they are first seen to move: traffic in towns, a
person who jogs. Objects of other classes, as things on tables, are followed by overlap alone."""
HORIZON = 1.0
"""Seconds ahead that a motion is trusted."""
FULL = 2.0
"""Seconds for which the fullest sight of an object is remembered: what passes before it hides a part, then
all."""
SMALLEST = 0.5
"""Meters of the diagonal of a box, below which an object is a small thing: followed by overlap alone."""
ALIKE = 2.0
"""Times that the diagonal of an object's box may grow or shrink between frames: sides come into view."""
SAME_CLASS = 0.5
"""Part by which a common class makes an instance more like an object. It need not be common: a model calls a
truck a car in between."""
BITS = 21
"""Bits of each coordinate of a voxel in its key."""


@dataclass(frozen=True)
class Tracks:
    """Says what became of the objects in one frame."""

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
        """Returns the instances that nobody follows: numbered from 1, best score first."""
        ids = np.arange(1, count + 1, dtype=np.uint32)
        nobody, times = np.empty(0, np.uint32), np.zeros(count, np.float32)
        motion = np.zeros((count, 3), np.float32)
        states = np.full(count, NEW, np.uint8)
        return Tracks(ids, states, nobody, motion, times, times, nobody, np.empty(0, np.float32))

    def of_points(self, labels: np.ndarray) -> np.ndarray:
        """Returns (N,) uint32: the object of each point, 0 for none, from labels (N,) of this frame's
        instances."""
        return np.concatenate([np.zeros(1, np.uint32), self.ids])[labels]


@dataclass(frozen=True)
class _Sight:
    """What is seen of an object in one frame, in the frame at rest."""

    class_id: int
    fastest: float
    """Meters a second that it may move at, unless its velocity is known."""
    voxels: np.ndarray
    """(V,) int64, ascending: keys of the coarse voxels that it fills."""
    middle: np.ndarray
    """(3,) float64: mean of its points."""
    size: float
    """Meters: diagonal of the box around its points."""


@dataclass
class _Object:
    id: int
    sight: _Sight
    """When it was last seen."""
    seen: float
    """When that was, seconds."""
    first: float
    """When it was first seen, seconds."""
    fullest: _Sight
    """The sight that filled most voxels, not much longer than FULL before `seen`."""
    fullest_seen: float
    """When that was, seconds."""
    lost: bool = False
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """(3,) meters a second, smoothed."""
    unseen: float = 0.0
    """Seconds that it had not been seen for when it was last seen."""

    def see(self, sight: _Sight, now: float) -> None:
        """Note that the object is in this frame, and where."""
        self.unseen = now - self.seen
        if self.unseen > 0:
            # The first measurement counts in full, as there is no motion from before to smooth it with.
            weight = np.expm1(-self.unseen / SMOOTHING) / np.expm1(-(now - self.first) / SMOOTHING)
            self.velocity = self.velocity + weight * (
                (sight.middle - self.sight.middle) / self.unseen - self.velocity
            )
        self.sight, self.seen = sight, now
        if now - self.fullest_seen > FULL or len(sight.voxels) >= len(self.fullest.voxels):
            self.fullest, self.fullest_seen = sight, now

    def travel(self, now: float) -> np.ndarray:
        """Returns (3,): the meters that it has moved since it was last seen, if it goes on as it did; 0 after
        HORIZON."""
        unseen = now - self.seen
        return self.velocity * (unseen if unseen <= HORIZON else 0.0)

    def reach(self, now: float) -> float:
        """Returns the meters from its expected place within which it may be.

        Before a velocity is known that is as far as its class gets; then, as far as it was expected to move,
        so that one at rest is nowhere else.
        """
        unseen = now - self.seen
        if self.first == self.seen and unseen <= HORIZON:
            return self.sight.fastest * unseen
        return min(float(np.linalg.norm(self.travel(now))), self.sight.fastest * unseen)


class Tracker:
    """Gives each object an id that it keeps while it is seen, and for `memory` seconds when it is not.

    Instances are matched with the objects whose voxels they overlap most, those of their class preferred,
    where those were last seen or where they are by now if they go on as before (all together, Hungarian). An
    object that is out of sight may also be where most was seen of it. What is left over is matched by the
    distance to the expected place, for the classes of `FASTEST` alone: an object that moves may be as far
    from it as it was expected to move, one that was seen only once as far as its class gets in the time
    between. Ids are never used again.
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
        rows = zip(samples, instances.class_ids, instances.class_names, strict=True)
        sights = [self._sight(*row) for row in rows]
        before = {item.id for item in self._objects if not item.lost}
        matches = self._match(sights, overlap)
        tracks = [self._follow(item, sight) for item, sight in zip(matches, sights, strict=True)]
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
            item.fullest_seen += now - self._now
        self._now = now
        self._objects = [item for item in self._objects if now - item.seen <= memory]

    def _sight(self, sample: np.ndarray, class_id: int, class_name: str) -> _Sight:
        """Returns what is seen of an instance, from some of its points (n, 3) in the frame at rest."""
        voxels = np.unique(_keys(np.floor(sample / self._edge).astype(np.int64)))
        if not len(sample):
            return _Sight(int(class_id), 0.0, voxels, np.zeros(3), 0.0)
        size = float(np.linalg.norm(np.ptp(sample, axis=0)))
        fastest = FASTEST.get(class_name, 0.0) if size >= SMALLEST else 0.0
        return _Sight(int(class_id), fastest, voxels, sample.mean(0), size)

    def _match(self, sights: Sequence[_Sight], overlap: float) -> list[_Object | None]:
        """Returns the object of each instance, None for a new one."""
        matches: list[_Object | None] = [None] * len(sights)
        if not sights or not self._objects:
            return matches
        class_ids = np.array([item.sight.class_id for item in self._objects])
        favor = 1 + SAME_CLASS * (class_ids[:, None] == [sight.class_id for sight in sights])
        iou = self._overlap(sights)
        pairs = _pairs(np.where(iou >= overlap, iou, 0) * favor)
        room = self._room(sights) * favor
        for row, column in pairs:
            room[row], room[:, column] = 0, 0
        pairs += _pairs(room)
        for row, column in pairs:
            matches[column] = self._objects[row]
        return matches

    def _overlap(self, sights: Sequence[_Sight]) -> np.ndarray:
        """Returns the IoU (A, I) of objects with instances: where they were, are expected, or, out of sight,
        where most was seen of them, whichever is more."""
        steps = np.array([np.rint(item.travel(self._now) / self._edge) for item in self._objects], np.int64)
        rows = list(range(len(self._objects)))
        filled = [item.sight.voxels for item in self._objects]
        for row in np.flatnonzero(steps.any(axis=1)):
            rows.append(row)
            filled.append(_shifted(self._objects[row].sight.voxels, steps[row]))
        for row, item in enumerate(self._objects):
            if item.lost:
                rows.append(row)
                filled.append(item.fullest.voxels)
        iou = np.zeros((len(self._objects), len(sights)))
        np.maximum.at(iou, rows, _overlaps(filled, [sight.voxels for sight in sights]))
        return iou

    def _room(self, sights: Sequence[_Sight]) -> np.ndarray:
        """Returns the meters (A, I) that instances could be farther from the objects' expected places; 0: too
        far."""
        places = np.array([item.sight.middle + item.travel(self._now) for item in self._objects])
        reach = np.array([item.reach(self._now) for item in self._objects])
        middles, sizes = (
            np.array([sight.middle for sight in sights]),
            np.array([sight.size for sight in sights]),
        )
        before = np.array([item.sight.size for item in self._objects])[:, None]
        alike = (sizes <= ALIKE * before) & (before <= ALIKE * sizes)
        movers = np.array([sight.fastest > 0 for sight in sights])
        return np.maximum(reach[:, None] - cdist(places, middles), 0) * (alike & movers)

    def _follow(self, item: _Object | None, sight: _Sight) -> tuple[_Object, int]:
        """Returns the object of an instance as it is now, and the instance's state."""
        if item is None:
            item = _Object(self.next_id, sight, self._now, self._now, sight, self._now)
            self.next_id += 1
            self._objects.append(item)
            return item, NEW
        item.see(sight, self._now)
        return item, FOUND_AGAIN if item.lost else KEPT


def _samples(xyz: np.ndarray, points: Sequence[np.ndarray], pose: np.ndarray | None) -> list[np.ndarray]:
    """Returns (n, 3) float64: some of each instance's points in the frame at rest, of a cloud (N, 3)."""
    rows = [part[:: len(part) // SAMPLED + 1] for part in points]
    sample = xyz[np.concatenate([np.empty(0, np.int64), *rows])].astype(np.float64)
    if pose is not None:
        sample = sample @ pose[:3, :3].T + pose[:3, 3]
    ends = np.cumsum([len(part) for part in rows], dtype=np.int64)
    return np.split(sample, ends)[:-1]


def _keys(cells: np.ndarray) -> np.ndarray:
    """Returns (n,) int64: one number for each voxel of coordinates (n, 3) int64."""
    x, y, z = cells.T & (1 << BITS) - 1
    return x | y << BITS | z << 2 * BITS


def _shifted(keys: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Returns (V,): the keys of voxels that lie a step (3,) int64 of voxels from those of keys (V,)."""
    return _keys((keys[:, None] >> BITS * np.arange(3)) + step)


def _pairs(scores: np.ndarray) -> list[tuple[int, int]]:
    """Returns rows and columns of scores (A, B) that belong together: the best sum, each pair above 0."""
    rows, columns = linear_sum_assignment(scores, maximize=True)
    possible = scores[rows, columns] > 0
    return list(zip(rows[possible], columns[possible], strict=True))


def _overlaps(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the IoU (A, B) of two lists of sets, each (V,) of unique numbers."""
    sizes = np.array([len(keys) for keys in (*a, *b)])
    unique, voxels = np.unique(np.concatenate([*a, *b]), return_inverse=True)
    first = sizes[: len(a)].sum()
    members, others = (
        csr_matrix((np.ones(len(part)), part, np.cumsum([0, *counts])), shape=(len(counts), len(unique)))
        for part, counts in ((voxels[:first], sizes[: len(a)]), (voxels[first:], sizes[len(a) :]))
    )
    common = (members @ others.T).toarray()
    return common / np.maximum(sizes[: len(a), None] + sizes[len(a) :] - common, 1)
