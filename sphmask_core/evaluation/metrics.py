# SPDX-License-Identifier: Apache-2.0
"""Scores of instance segmentation.

`average_precision`: the ScanNet benchmark's AP, AP50, AP25 and recalls. `overlap`: precision, recall and F of
the unseen-object literature. `coverage`: S3DIS' mCov, mWCov, mPrec, mRec.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array

from sphmask_core.clouds.prepared import UNLABELED

AP_IOUS = np.arange(0.5, 0.95, 0.05)  # the benchmark's own nine: 0.95 is not among them
IOUS = np.append(AP_IOUS, 0.25)
"""Those of AP, of which the first is that of AP50, and that of AP25."""
GOOD_F = 0.75
"""F of an object from which it counts as found well (the unseen-object literature's 75 %)."""
HIT_IOU = 0.5
"""IoU from which a prediction is a hit in mPrec and mRec (S3DIS)."""
MIN_REGION = 100
"""Points that an object or a prediction has at least to count (as in the ScanNet benchmark)."""
SPARSE = 4
"""Where labels are larger than so many times their number, they are sorted; else a table has them all."""


@dataclass(frozen=True)
class ScanResult:
    """Holds the predictions on one scan and its ground truth."""

    masks: np.ndarray
    """(I, N) bool, or (I, S) over segments."""
    scores: np.ndarray
    """(I,)"""
    class_ids: np.ndarray
    """(I,) instance class, from 0"""
    semantic: np.ndarray
    """(N,) semantic label, -100 unlabeled"""
    instance: np.ndarray
    """(N,) instance number, negative: none"""
    segments: np.ndarray | None = None
    """(N,) the column of `masks` that each point has; None: each its own."""


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class, or means over classes; NaN where there is no ground truth."""

    ap: float
    ap50: float
    ap25: float
    recall: float
    recall50: float
    recall25: float


@dataclass(frozen=True)
class Precision:
    """Holds the average precision of each class, and its means over the classes."""

    mean: ClassScores
    classes: tuple[ClassScores, ...]


@dataclass(frozen=True)
class Overlap:
    """Agreement of disjoint segments, each predicted one matched to at most one object."""

    precision: float
    recall: float
    f: float
    objects: int
    good: int
    """Objects whose match has F >= 0.75."""

    @property
    def good_share(self) -> float:
        """Returns the share of the objects that are found well."""
        return self.good / self.objects if self.objects else float("nan")


@dataclass(frozen=True)
class Coverage:
    """Holds S3DIS' scores, means over the classes that occur."""

    cov: float
    """Best IoU with an object, mean over objects."""
    weighted_cov: float
    """The same, objects weighted by their points."""
    precision: float
    recall: float


@dataclass(frozen=True)
class Intersections:
    """Counts the points that predictions and objects of one scan share."""

    common: np.ndarray
    """(I, G) points in both"""
    void: np.ndarray
    """(I,) points of the prediction that belong to no object"""
    sizes: np.ndarray
    """(I,) points of the prediction"""
    object_sizes: np.ndarray
    """(G,)"""
    object_classes: np.ndarray
    """(G,)"""
    class_ids: np.ndarray
    """(I,)"""
    scores: np.ndarray
    """(I,)"""

    @cached_property
    def iou(self) -> np.ndarray:
        """Returns the IoU (I, G) of predictions with objects."""
        return self.common / (self.sizes[:, None] + self.object_sizes - self.common)

    def of(self, predictions: np.ndarray, objects: np.ndarray) -> Intersections:
        """Returns the part of some predictions (I,) and objects (G,), both bool."""
        return Intersections(
            self.common[predictions][:, objects],
            self.void[predictions],
            self.sizes[predictions],
            self.object_sizes[objects],
            self.object_classes[objects],
            self.class_ids[predictions],
            self.scores[predictions],
        )


@dataclass(frozen=True)
class Matches:
    """Holds a scan's predictions of one class, true and false ones: numbers in IOUS (n,) and scores (n,)."""

    true: tuple[np.ndarray, np.ndarray]
    false: tuple[np.ndarray, np.ndarray]
    objects: int
    """Objects that count."""


def average_precision(
    scans: Iterable[ScanResult],
    classes: int,
    shift: int,
    min_region: int = MIN_REGION,
    class_agnostic: bool = False,
) -> Precision:
    """Returns AP as the ScanNet benchmark has it.

    Objects and predictions under `min_region` points do not count. `shift`: semantic classes before the
    first instance class.
    """
    tables = [intersect(scan, shift, min_region) for scan in scans]
    return precision_of(tables, classes, min_region, class_agnostic)


def precision_of(
    tables: Sequence[Intersections], classes: int, min_region: int = MIN_REGION, class_agnostic: bool = False
) -> Precision:
    """Returns the `average_precision` of scans that `intersect` has seen with the same `min_region`."""
    per_class: list[Sequence[Intersections]] = [tables]
    if not class_agnostic:
        per_class = [[t.of(t.class_ids == c, t.object_classes == c) for t in tables] for c in range(classes)]
    classes_scores = tuple(_class_scores(part, min_region) for part in per_class)
    columns = np.array([list(vars(scores).values()) for scores in classes_scores])
    known = columns[~np.isnan(columns[:, 0])]
    mean = known.mean(0) if len(known) else np.full(columns.shape[1], np.nan)
    return Precision(ClassScores(*mean.tolist()), classes_scores)


def intersect(scan: ScanResult, shift: int, min_region: int) -> Intersections:
    """Returns the intersections of a scan's predictions with at least `min_region` points and its objects."""
    class_of_point = np.where(scan.semantic == UNLABELED, -1, scan.semantic.astype(np.int64) - shift)
    valid = (class_of_point >= 0) & (scan.instance >= 0)
    span = int(scan.instance.max(initial=0)) + 1
    keys, numbers = _numbered(class_of_point[valid] * span + scan.instance[valid])
    column = np.full(len(valid), len(keys))  # the last column: no object
    column[valid] = numbers
    common = _joint(scan, column, len(keys) + 1)
    sizes = common.sum(1)
    kept = sizes >= min_region
    return Intersections(
        common[kept, :-1],
        common[kept, -1],
        sizes[kept],
        np.bincount(column, minlength=len(keys) + 1)[:-1],
        keys // span,
        np.asarray(scan.class_ids)[kept],
        np.asarray(scan.scores)[kept],
    )


def _numbered(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sorted unique values >= 0 and the place of each among them.

    Small values are told apart without sorting.
    """
    if values.max(initial=0) > SPARSE * len(values):
        return np.unique(values, return_inverse=True)
    occurs = np.zeros(int(values.max(initial=-1)) + 1, bool)
    occurs[values] = True
    return np.flatnonzero(occurs), np.cumsum(occurs)[values] - 1


def _joint(scan: ScanResult, column: np.ndarray, columns: int) -> np.ndarray:
    """Returns (I, columns): the points of each mask that have each value of `column` (N,)."""
    if scan.segments is not None:
        ones, shape = np.ones(len(column), np.int64), (scan.masks.shape[1], columns)
        table = coo_array((ones, (scan.segments, column)), shape).tocsr()
        return (csr_array(scan.masks, dtype=np.int64) @ table).toarray()
    rows, points = np.divmod(np.flatnonzero(scan.masks), max(len(column), 1))
    counts = np.bincount(rows * columns + column[points], minlength=len(scan.masks) * columns)
    return counts.reshape(len(scan.masks), columns)


def _class_scores(tables: Sequence[Intersections], min_region: int) -> ClassScores:
    counted = [table.object_sizes >= min_region for table in tables]
    if not any(mask.any() for mask in counted):
        return ClassScores(*[float("nan")] * 6)
    matches = [_match(table, mask) for table, mask in zip(tables, counted, strict=True)]
    curves = [_ap_and_recall(matches, number) for number in range(len(IOUS))]
    ap, recall = np.array(curves).T
    return ClassScores(ap[:-1].mean(), ap[0], ap[-1], recall[:-1].mean(), recall[0], recall[-1])


def _match(table: Intersections, counted: np.ndarray) -> Matches:
    """Match the predictions of a scan to the objects that count, at all of IOUS."""
    hits = table.iou > IOUS[:, None, None]
    matched_before = np.zeros(hits.shape[:2], bool)
    scores = np.broadcast_to(table.scores, matched_before.shape)
    true, false = [], []
    for column in np.flatnonzero(counted):
        matched = hits[:, :, column] & ~matched_before
        reached = np.flatnonzero(matched.any(1))  # numbers in IOUS at which a free prediction hits the object
        if not len(reached):
            continue
        matched_before[reached, matched[reached].argmax(1)] = True
        best = np.where(matched[reached], scores[reached], -np.inf).argmax(1)
        true.append((reached, scores[reached, best]))
        matched[reached, best] = False
        false.append((np.nonzero(matched)[0], scores[matched]))
    ignored = table.void + table.common[:, ~counted].sum(1)
    unmatched = ~hits.any(2) & (ignored / table.sizes <= IOUS[:, None])
    false.append((np.nonzero(unmatched)[0], scores[unmatched]))
    return Matches(_gathered(true), _gathered(false), int(counted.sum()))


def _gathered(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numbers in IOUS and the scores of all parts, one after the other."""
    thresholds, scores = zip(*parts, strict=True) if parts else ([np.zeros(0, int)], [np.zeros(0)])
    return np.concatenate(thresholds), np.concatenate(scores)


def _ap_and_recall(matches: Sequence[Matches], number: int) -> tuple[float, float]:
    """Returns, at one of IOUS, the area under precision over recall and the largest recall.

    The area is the benchmark's: a convolution of the recalls, times the precisions.
    """
    hits = [match.true[1][match.true[0] == number] for match in matches]
    misses = [match.false[1][match.false[0] == number] for match in matches]
    scores = np.concatenate([*hits, *misses])
    true = np.arange(len(scores)) < sum(map(len, hits))
    missed = sum(match.objects for match in matches) - int(true.sum())
    if len(scores) == 0:
        return 0.0, 0.0
    order = np.argsort(scores)
    _, first = np.unique(scores[order], return_index=True)  # of each score, lowest score first
    below = np.append(0, np.cumsum(true[order]))[first]
    positives = true.sum() - below
    precision = np.append(positives / (len(scores) - first), 1.0)
    recall = np.append(positives / (true.sum() + missed), 0.0)
    steps = np.convolve(np.concatenate([recall[:1], recall, [0.0]]), [-0.5, 0.0, 0.5], "valid")
    return float(precision @ steps), float(recall[0])


def overlap(scan: ScanResult, shift: int, min_score: float = 0.0) -> Overlap:
    """Returns precision, recall and F of a scan's disjoint segments.

    A point belongs to its best-scored instance. Segments and objects are matched by Hungarian on their
    pairwise F, whatever their class; unlabeled points do not count.
    """
    table = intersect(_disjoint(labeled_points(scan), min_score), shift, 1)
    predicted, objects = int(table.sizes.sum()), int(table.object_sizes.sum())
    if predicted == 0 or objects == 0:
        precision, recall = float(predicted == 0), float(objects == 0)
        return Overlap(precision, recall, precision * recall, len(table.object_sizes), 0)
    f = 2.0 * table.common / (table.sizes[:, None] + table.object_sizes)
    rows, columns = linear_sum_assignment(f, maximize=True)
    common = int(table.common[rows, columns].sum())
    good = int((f[rows, columns] >= GOOD_F).sum())
    return Overlap(
        common / predicted, common / objects, 2.0 * common / (predicted + objects), f.shape[1], good
    )


def labeled_points(scan: ScanResult) -> ScanResult:
    """Returns the scan with its labeled points alone."""
    kept = scan.semantic != UNLABELED
    labeled = replace(scan, semantic=scan.semantic[kept], instance=scan.instance[kept])
    if scan.segments is None:
        return replace(labeled, masks=scan.masks[:, kept])
    return replace(labeled, segments=scan.segments[kept])


def _disjoint(scan: ScanResult, min_score: float) -> ScanResult:
    """Returns the scan with each point in at most one mask, that of the best score."""
    order = np.argsort(-scan.scores, kind="stable")
    order = order[scan.scores[order] >= min_score]
    masks = scan.masks[order]
    masks &= np.cumsum(masks, 0) == 1
    return replace(scan, masks=masks, scores=scan.scores[order], class_ids=scan.class_ids[order])


def coverage(scans: Iterable[ScanResult], classes: int, shift: int = 0) -> Coverage:
    """Returns coverage, precision and recall as S3DIS is scored; a point belongs to its best-scored instance.

    As in the published evaluation, the points that no instance claims are one more prediction, of class 0.
    """
    return coverage_of([intersect_rest(scan, shift) for scan in scans], classes)


def intersect_rest(scan: ScanResult, shift: int = 0) -> Intersections:
    """Returns the intersections of a scan's disjoint predictions.

    The points that none claims are one more.
    """
    return intersect(_with_rest(_disjoint(scan, 0.0)), shift, 1)


def coverage_of(tables: Sequence[Intersections], classes: int) -> Coverage:
    """Returns the `coverage` of scans that `intersect_rest` has seen."""
    scores = np.full((4, classes), np.nan)  # rows: fields of Coverage
    for c in range(classes):
        parts = [table.of(table.class_ids == c, table.object_classes == c) for table in tables]
        hits = sum(int((part.iou >= HIT_IOU).any(1).sum()) for part in parts)
        predictions, objects = (sum(part.iou.shape[axis] for part in parts) for axis in (0, 1))
        best = [(part.iou.max(0, initial=0.0), part.object_sizes) for part in parts if part.iou.shape[1]]
        if best:
            scores[:2, c] = np.mean([(iou.mean(), np.average(iou, weights=size)) for iou, size in best], 0)
            scores[3, c] = hits / objects
        if predictions:
            scores[2, c] = hits / predictions
    known = ~np.isnan(scores)
    means = np.where(known, scores, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return Coverage(*means.tolist())


def _with_rest(scan: ScanResult) -> ScanResult:
    rest = ~scan.masks.any(0, keepdims=True)
    return replace(
        scan,
        masks=np.concatenate([scan.masks, rest]),
        scores=np.append(scan.scores, 0.0),
        class_ids=np.append(scan.class_ids, 0),
    )
