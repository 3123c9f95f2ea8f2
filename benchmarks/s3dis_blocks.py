# SPDX-License-Identifier: Apache-2.0
"""Rooms of S3DIS as SGPN and its followers cut them: HDF5 files of blocks of 4,096 points, with colors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.room_frames import numbered

CLASSES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase",
    "board", "clutter",
)  # fmt: skip
BACKGROUND = ("ceiling", "floor", "wall", "beam")
FURNITURE = ("table", "chair", "sofa", "bookcase", "board")


@dataclass(frozen=True)
class Room:
    """A room in meters, z up."""

    xyz: np.ndarray
    """(N, 3) float32"""
    rgb: np.ndarray
    """(N, 3) uint8"""
    kind: np.ndarray
    """(N,) numbers of `CLASSES`"""
    instance: np.ndarray
    """(N,) numbers of things, and of walls and the like"""

    def count(self, classes: Collection[str]) -> int:
        """Returns the number of things of some classes."""
        return len(np.unique(self.instance[self._of(classes)]))

    def labels(self, unknown: Collection[str]) -> np.ndarray:
        """Returns the labels (N,) of a labeled frame, in which things of some classes are left out."""
        return numbered(self.instance, self._of(BACKGROUND), self._of(unknown))

    def _of(self, classes: Collection[str]) -> np.ndarray:
        return np.isin(self.kind, [CLASSES.index(name) for name in classes])


def read_blocks(path: Path) -> Room:
    """Returns the room of a file; needs h5py, which is no part of this package.

    `data` (B, 4096, 9) are positions in the block, colors in [0, 1] and positions as shares of the room's
    size, `pid` the number of the thing, `seglabel` the class.
    """
    import h5py

    with h5py.File(path) as file:
        data, instance, kind = (file[name][:] for name in ("data", "pid", "seglabel"))
    size = [np.polyfit(data[0, :, 6 + axis], data[0, :, axis], 1)[0] for axis in range(3)]
    rows = data.reshape(-1, 9)
    xyz = rows[:, 6:] * size
    _, first = np.unique(np.round(xyz * 1000).astype(np.int64), axis=0, return_index=True)
    rgb = np.round(255 * rows[first, 3:6]).astype(np.uint8)
    return Room(xyz[first].astype(np.float32), rgb, kind.reshape(-1)[first], instance.reshape(-1)[first])
