# SPDX-License-Identifier: Apache-2.0
"""A labeled cloud, and the values that its labels have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.prepared import UNLABELED

__all__ = ["BACKGROUND", "OBJECT", "SUPPORT", "TABLE_CLASSES", "UNLABELED", "Scene"]

SUPPORT, BACKGROUND, OBJECT = 0, 1, 2
"""Classes of tables, shelves and bins: what things stand on; what is neither that nor an object; objects."""
TABLE_CLASSES = ("support", "background", "object")
"""Their names, by number."""


@dataclass(frozen=True)
class Scene:
    """Holds a cloud and its ground truth."""

    name: str
    cloud: Cloud
    semantic: np.ndarray
    """(N,) int64: class (of tables: SUPPORT, BACKGROUND or OBJECT), -100 unlabeled"""
    instance: np.ndarray
    """(N,) int64: object number from 0, negative for everything else"""
    superpoints: np.ndarray | None = None
    """(N,) int64 from 0, where the data set has them"""

    def take(self, rows: np.ndarray | slice) -> Scene:
        """Returns the scene with some of its points, in no order of an image."""
        xyz, rgb = self.cloud.xyz[rows], None if self.cloud.rgb is None else self.cloud.rgb[rows]
        superpoints = None if self.superpoints is None else self.superpoints[rows]
        cloud = Cloud(xyz, rgb, None, (1, len(xyz)))
        return Scene(self.name, cloud, self.semantic[rows], self.instance[rows], superpoints)
