# SPDX-License-Identifier: Apache-2.0
"""What a user sees at the score threshold: how many shown instances are right, how many objects are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sphmask_core.evaluation.metrics import ScanResult, intersect, labeled_points

RIGHT_IOU = 0.5
"""IoU above which an instance is an object."""


@dataclass(frozen=True)
class Detections:
    """Counts of one scene, or of many."""

    hits: int
    """Instances that are an object, each object at most once."""
    shown: int
    """Instances with a score from the threshold on, most of whose points are labeled."""
    objects: int
    """Objects that count."""

    @property
    def precision(self) -> float:
        """Returns the share of the instances shown that are an object; 1 where none is shown."""
        return self.hits / self.shown if self.shown else 1.0

    @property
    def recall(self) -> float:
        """Returns the share of the objects that an instance shows; 1 where there is none."""
        return self.hits / self.objects if self.objects else 1.0


def detections(scan: ScanResult, shift: int, min_score: float, min_region: int) -> Detections:
    """Count the instances of a scan with a score of at least `min_score` against its objects.

    Only labeled points count; instances most of whose points are unlabeled are passed over, and so are
    objects of fewer than `min_region` points and the instances that are one of them. An instance on the
    background is wrong here, whereas the benchmarks' average precision passes over it.
    """
    table = intersect(labeled_points(scan), shift, 0)
    whole = intersect(scan, shift, 0).sizes
    shown = (table.scores >= min_score) & (2 * table.sizes > whole)
    counted = table.object_sizes >= min_region
    iou = table.common / np.maximum(table.sizes[:, None] + table.object_sizes - table.common, 1)
    right, small = iou[shown][:, counted], iou[shown][:, ~counted]
    rows, columns = linear_sum_assignment(right, maximize=True)
    passed = int((small > RIGHT_IOU).any(1).sum())
    return Detections(
        int((right[rows, columns] > RIGHT_IOU).sum()), int(shown.sum()) - passed, int(counted.sum())
    )


def add(parts: Iterable[Detections]) -> Detections:
    """Returns the sums of the counts of many scenes."""
    rows = [(part.hits, part.shown, part.objects) for part in parts]
    hits, shown, objects = np.sum(rows, axis=0).tolist() if rows else (0, 0, 0)
    return Detections(hits, shown, objects)
