# SPDX-License-Identifier: Apache-2.0
"""Average precision of many scans, beside a loop over pairs of predictions and objects.

python -m benchmarks.metrics [--scans 100] [--points 100000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from sphmask_core.clouds.prepared import UNLABELED
from sphmask_core.evaluation.metrics import Intersections, ScanResult, intersect, precision_of

CLASSES, SHIFT, MIN_REGION = 18, 2, 100
"""Classes with instances, classes before them, and points of the smallest object that counts (ScanNet)."""
OBJECTS, PREDICTIONS, SUPERPOINTS = 25, 90, 1500
"""Objects, predictions and superpoints of a scan: about those of a scan of ScanNet."""


def main() -> None:
    """Run both ways on the same scans; the scores must be the same."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--points", type=int, default=100_000, help="points a scan (%(default)s)")
    asked = parser.parse_args()
    seconds = np.zeros(2)
    tables: list[list[Intersections]] = [[], []]
    for scan in make_scans(asked.scans, asked.points):
        for way, function in enumerate((by_loop, vectorized)):
            start = time.process_time()
            tables[way].append(function(scan))
            seconds[way] += time.process_time() - start
    start = time.process_time()
    scores = [precision_of(way, CLASSES, MIN_REGION).mean for way in tables]
    rest = (time.process_time() - start) / 2
    assert scores[0] == scores[1]
    loop, ours = seconds + rest
    what = f"{asked.scans} scans of {asked.points} points, {PREDICTIONS} predictions, {OBJECTS} objects"
    print(f"{what}: AP {scores[1].ap:.3f}")
    print(f"loop over pairs {loop:.1f} s, sphmask {ours:.2f} s: {loop / ours:.0f} times as fast")


def make_scans(count: int, points: int) -> Iterator[ScanResult]:
    """Gives scans in which objects are runs of points, and predictions runs of superpoints near them."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        bounds = np.sort(rng.integers(0, points, 2 * OBJECTS)).reshape(-1, 2)
        semantic, instance = rng.integers(-1, 2, points), np.full(points, UNLABELED)
        for number, (low, high) in enumerate(bounds):
            semantic[low:high], instance[low:high] = SHIFT + rng.integers(CLASSES), number
        semantic[semantic < 0] = UNLABELED
        masks, width = np.zeros((PREDICTIONS, SUPERPOINTS), bool), points / SUPERPOINTS
        chosen = rng.integers(0, OBJECTS, PREDICTIONS)
        for mask, (low, high) in zip(masks, bounds[chosen], strict=True):
            start, end = (int(edge + rng.normal(0, 0.1) * (high - low)) for edge in (low, high))
            mask[max(int(start / width), 0) : max(int(end / width), 0) + 1] = True
        classes = semantic[np.minimum(bounds[chosen].mean(1).astype(int), points - 1)].clip(SHIFT) - SHIFT
        segments = (np.arange(points) / width).astype(np.int64)
        yield ScanResult(masks, rng.random(PREDICTIONS), classes, semantic, instance, segments)


def vectorized(scan: ScanResult) -> Intersections:
    """Returns the intersections as `sphmask eval` counts them."""
    return intersect(scan, SHIFT, MIN_REGION)


def by_loop(scan: ScanResult) -> Intersections:
    """Returns the intersections by one comparison of whole masks for each pair."""
    masks = np.ascontiguousarray(scan.masks[:, scan.segments])
    class_of = np.where(scan.semantic == UNLABELED, -1, scan.semantic - SHIFT)
    valid = (class_of >= 0) & (scan.instance >= 0)
    objects = np.unique(np.stack([class_of[valid], scan.instance[valid]]), axis=1)
    truth = [valid & (class_of == c) & (scan.instance == i) for c, i in objects.T]
    kept = [i for i in range(len(masks)) if np.count_nonzero(masks[i]) >= MIN_REGION]
    common = np.zeros((len(kept), len(truth)), int)
    for row, i in enumerate(kept):
        for column, mask in enumerate(truth):
            common[row, column] = np.count_nonzero(np.logical_and(masks[i], mask))
    void = np.array([np.count_nonzero(np.logical_and(masks[i], ~valid)) for i in kept])
    sizes = np.array([np.count_nonzero(masks[i]) for i in kept])
    object_sizes = np.array([np.count_nonzero(mask) for mask in truth])
    return Intersections(
        common, void, sizes, object_sizes, objects[0], scan.class_ids[kept], scan.scores[kept]
    )


if __name__ == "__main__":
    main()
