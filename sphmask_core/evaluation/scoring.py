# SPDX-License-Identifier: Apache-2.0
"""The scores of a segmenter on labeled scenes: of each scene, and of all together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from sphmask_core.clouds.scenes import Scene
from sphmask_core.evaluation.detections import Detections, add, detections
from sphmask_core.evaluation.metrics import (
    ClassScores,
    Coverage,
    Intersections,
    Overlap,
    Precision,
    coverage_of,
    intersect_rest,
    overlap,
)
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.method.instances import Instances
from sphmask_core.pictures.draw import SceneResult
from sphmask_core.pictures.missed import MissedObjects
from sphmask_core.runtime.units import MS_PER_SECOND
from sphmask_core.segmenter import Segmenter

COVERING_IOU = 0.5
"""IoU above which a mask covers an object: its class is what the object is taken for."""


@dataclass(frozen=True)
class Segmented:
    """A scene and the instances that were found in it."""

    scene: Scene
    instances: Instances
    milliseconds: float


@dataclass(frozen=True)
class SceneScores:
    """Scores of one scene."""

    name: str
    milliseconds: float
    overlap: Overlap
    precision: ClassScores
    detections: Detections
    """What is shown at the score threshold."""
    intersections: Intersections
    rest: Intersections | None
    """The same, with one prediction more of all points that none claims; for coverage, where it is scored."""


@dataclass(frozen=True)
class Scores:
    """Scores over scenes: AP over all instances together, overlap as the mean over scenes."""

    precision: Precision
    agnostic: ClassScores
    overlap: dict[str, float]
    coverage: Coverage | None
    detections: Detections
    confusion: np.ndarray
    """(K, K + 1) objects of each class that a prediction of each class covers; the last column: none does."""
    milliseconds: float


@dataclass
class Gallery:
    """Scenes to draw: those chosen by number, or the worst ones."""

    size: int
    chosen: Sequence[int] | None = None
    """None: those of the lowest AP50."""
    results: list[tuple[float, int, SceneResult]] = field(default_factory=list)

    def offer(self, number: int, score: float, draw: Callable[[], SceneResult]) -> None:
        """Keep the scene, if it is chosen or among the worst so far."""
        if self.chosen is not None:
            if number in self.chosen:
                self.results.append((number, number, draw()))
            return
        worst = np.nan_to_num(score, nan=np.inf)
        if self.size and (len(self.results) < self.size or worst < self.results[-1][0]):
            results = sorted([*self.results, (worst, number, draw())], key=lambda result: result[:2])
            self.results = results[: self.size]

    @property
    def scenes(self) -> list[SceneResult]:
        """Returns the scenes that were kept, the worst first."""
        return [result for *_, result in self.results]


def segment_scenes(
    segmenter: Segmenter, scenes: Iterable[Scene], protocol: Protocol, min_score: float | None = None
) -> Iterator[Segmented]:
    """Segment scene after scene, as the protocol says; min_score None: the model's own, 0: all instances."""
    segmenter.warm_up()
    for raw in scenes:
        scene = protocol.prepare(raw)
        start = time.perf_counter()
        instances = protocol.segment(segmenter, scene, min_score)
        yield Segmented(scene, instances, (time.perf_counter() - start) * MS_PER_SECOND)


def score_scenes(
    segmented: Iterable[Segmented],
    protocol: Protocol,
    min_score: float,
    gallery: Gallery,
    missed: MissedObjects | None = None,
) -> list[SceneScores]:
    """Returns the scores of every scene; AP sees all instances, overlap those with at least `min_score`.

    gallery and missed: are offered each scene, with the instances of at least `min_score`, to be drawn.
    """
    scores = []
    for number, result in enumerate(segmented):
        scores.append(score(result, protocol, min_score))
        draw = partial(picture, result.scene, scores[-1], result.instances, min_score)
        gallery.offer(number, scores[-1].precision.ap50, draw)
        if missed is not None:
            missed.offer(draw())
    return scores


def score(segmented: Segmented, protocol: Protocol, min_score: float) -> SceneScores:
    """Returns the scores of one scene."""
    scan = protocol.scan(segmented.scene, segmented.instances)
    table = protocol.table(scan)
    return SceneScores(
        name=segmented.scene.name,
        milliseconds=segmented.milliseconds,
        overlap=overlap(scan, protocol.shift, min_score),
        precision=protocol.precision([table]).mean,
        detections=detections(scan, protocol.shift, min_score, protocol.min_region),
        intersections=table,
        rest=intersect_rest(scan, protocol.shift) if protocol.coverage else None,
    )


def pool(scenes: Sequence[SceneScores], protocol: Protocol) -> Scores:
    """Returns the scores over all scenes."""
    tables = [scene.intersections for scene in scenes]
    rest = [scene.rest for scene in scenes if scene.rest is not None]
    return Scores(
        precision=protocol.precision(tables),
        agnostic=protocol.precision(tables, agnostic=True).mean,
        overlap=_mean_overlap([scene.overlap for scene in scenes]),
        coverage=coverage_of(rest, len(protocol.classes)) if rest else None,
        detections=add([scene.detections for scene in scenes]),
        confusion=np.sum([_confusion(table, protocol) for table in tables], axis=0),
        milliseconds=float(np.median([scene.milliseconds for scene in scenes])),
    )


def _mean_overlap(overlaps: Sequence[Overlap]) -> dict[str, float]:
    objects = sum(overlap.objects for overlap in overlaps)
    names = ("precision", "recall", "f")
    means = {name: float(np.mean([getattr(overlap, name) for overlap in overlaps])) for name in names}
    return means | {"share": sum(overlap.good for overlap in overlaps) / objects if objects else float("nan")}


def _confusion(table: Intersections, protocol: Protocol) -> np.ndarray:
    """Returns counts (K, K + 1) of a scene: of each object the class of the best-scored mask over it."""
    classes = len(protocol.classes)
    counts = np.zeros((classes, classes + 1), int)
    if not classes:
        return counts
    ranks = np.argsort(-table.scores, kind="stable")
    covers = np.vstack([table.iou[ranks] > COVERING_IOU, np.ones(len(table.object_classes), bool)])
    taken_for = np.append(table.class_ids[ranks], classes)[covers.argmax(0)]
    counted = table.object_sizes >= protocol.min_region
    np.add.at(counts, (table.object_classes[counted], taken_for[counted]), 1)
    return counts


def picture(scene: Scene, scores: SceneScores, instances: Instances, min_score: float) -> SceneResult:
    """Returns what is drawn of a scene: its labels beside the instances with at least `min_score`."""
    kept = int((instances.scores >= min_score).sum())  # instances come by falling score
    labels = np.where(instances.labels <= kept, instances.labels, 0)
    caption = f"found: {kept}    F {scores.overlap.f:.2f}    AP50 {scores.precision.ap50:.2f}"
    objects, truth = np.unique(scene.instance, return_inverse=True)
    truth = np.where(scene.instance >= 0, truth - (objects < 0).sum() + 1, 0)
    return SceneResult(scene.name, scene.cloud, truth, labels, caption, instances.rotation[2])
