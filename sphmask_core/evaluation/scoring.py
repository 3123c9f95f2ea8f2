# SPDX-License-Identifier: Apache-2.0
"""What `sphmask eval` computes: a segmenter's scores on labeled scenes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from sphmask_core.clouds.scenes import Scene
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
from sphmask_core.pictures.failures import Failures
from sphmask_core.segmenter import Segmenter

SEEN_IOU = 0.5
"""IoU from which a prediction says what an object is."""


@dataclass(frozen=True)
class Segmented:
    """A scene and what was found in it."""

    scene: Scene
    found: Instances
    milliseconds: float


@dataclass(frozen=True)
class SceneScores:
    """Scores of one scene."""

    name: str
    milliseconds: float
    overlap: Overlap
    precision: ClassScores
    intersections: Intersections
    rest: Intersections | None
    """With what no prediction claims, for coverage."""


@dataclass(frozen=True)
class Scores:
    """Scores over scenes: AP over all instances together, overlap as the mean over scenes."""

    precision: Precision
    agnostic: ClassScores
    overlap: dict[str, float]
    coverage: Coverage | None
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
            self.results = sorted([*self.results, (worst, number, draw())], key=lambda one: one[:2])[
                : self.size
            ]

    @property
    def scenes(self) -> list[SceneResult]:
        """Those kept, the worst first."""
        return [result for *_, result in self.results]


def segment_scenes(segmenter: Segmenter, scenes: Iterable[Scene], protocol: Protocol) -> Iterator[Segmented]:
    """Segment scene after scene, as the protocol says."""
    segmenter.warm_up()
    for raw in scenes:
        scene = protocol.prepare(raw)
        start = time.perf_counter()
        found = protocol.segment(segmenter, scene)
        yield Segmented(scene, found, (time.perf_counter() - start) * 1e3)


def evaluate(
    segmented: Iterable[Segmented],
    protocol: Protocol,
    min_score: float,
    gallery: Gallery,
    failures: Failures | None = None,
) -> list[SceneScores]:
    """Scores of every scene; AP sees all instances, overlap and pictures those with at least `min_score`."""
    scores = []
    for number, one in enumerate(segmented):
        scores.append(score(one, protocol, min_score))
        draw = partial(picture, one.scene, scores[-1], one.found, min_score)
        gallery.offer(number, scores[-1].precision.ap50, draw)
        if failures is not None:
            failures.offer(draw())
    return scores


def score(segmented: Segmented, protocol: Protocol, min_score: float) -> SceneScores:
    """Scores of what was found in a scene."""
    scan = protocol.scan(segmented.scene, segmented.found)
    table = protocol.table(scan)
    return SceneScores(
        name=segmented.scene.name,
        milliseconds=segmented.milliseconds,
        overlap=overlap(scan, protocol.shift, min_score),
        precision=protocol.precision([table]).mean,
        intersections=table,
        rest=intersect_rest(scan, protocol.shift) if protocol.coverage else None,
    )


def pool(scenes: Sequence[SceneScores], protocol: Protocol) -> Scores:
    """Scores over all scenes."""
    tables = [scene.intersections for scene in scenes]
    rest = [scene.rest for scene in scenes if scene.rest is not None]
    return Scores(
        precision=protocol.precision(tables),
        agnostic=protocol.precision(tables, agnostic=True).mean,
        overlap=_mean_overlap([scene.overlap for scene in scenes]),
        coverage=coverage_of(rest, len(protocol.classes)) if rest else None,
        confusion=np.sum([_confusion(table, protocol) for table in tables], axis=0),
        milliseconds=float(np.median([scene.milliseconds for scene in scenes])),
    )


def _mean_overlap(overlaps: Sequence[Overlap]) -> dict[str, float]:
    objects = sum(one.objects for one in overlaps)
    names = ("precision", "recall", "f")
    means = {name: float(np.mean([getattr(one, name) for one in overlaps])) for name in names}
    return means | {"share": sum(one.good for one in overlaps) / objects if objects else float("nan")}


def _confusion(table: Intersections, protocol: Protocol) -> np.ndarray:
    """(K, K + 1) of one scene: for each object, the class of the best-scored mask that covers it."""
    classes = len(protocol.classes)
    counts = np.zeros((classes, classes + 1), int)
    if not classes:
        return counts
    ranks = np.argsort(-table.scores, kind="stable")
    covers = np.vstack([table.iou[ranks] > SEEN_IOU, np.ones(len(table.object_classes), bool)])
    said = np.append(table.class_ids[ranks], classes)[covers.argmax(0)]
    counted = table.object_sizes >= protocol.min_region
    np.add.at(counts, (table.object_classes[counted], said[counted]), 1)
    return counts


def picture(scene: Scene, scores: SceneScores, found: Instances, min_score: float) -> SceneResult:
    """The scene beside its labels and the instances that count."""
    kept = int((found.scores >= min_score).sum())  # instances come by falling score
    labels = np.where(found.labels <= kept, found.labels, 0)
    caption = f"found: {kept}    F {scores.overlap.f:.2f}    AP50 {scores.precision.ap50:.2f}"
    objects, truth = np.unique(scene.instance, return_inverse=True)
    truth = np.where(scene.instance >= 0, truth - (objects < 0).sum() + 1, 0)
    return SceneResult(scene.name, scene.cloud, truth, labels, caption, found.rotation[2])
