# SPDX-License-Identifier: Apache-2.0
"""What `sphmask eval` computes: a segmenter's scores on labelled scenes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.draw import SceneResult
from sphmask_core.metrics import (
    ClassScores,
    Intersections,
    Overlap,
    ScanResult,
    intersect,
    overlap,
    precision_of,
)
from sphmask_core.scenes import OBJECT, Scene, read_scene
from sphmask_core.segmenter import Instances, Segmenter

MIN_REGION = 100  # points under which objects and predictions do not count for AP


@dataclass(frozen=True)
class SceneScores:
    """Scores of one scene."""

    name: str
    milliseconds: float
    overlap: Overlap
    precision: ClassScores
    intersections: Intersections


@dataclass(frozen=True)
class Scores:
    """Scores over scenes: AP over all instances together, overlap as the mean over scenes."""

    precision: ClassScores
    overlap: dict[str, float]
    milliseconds: float


def evaluate(
    segmenter: Segmenter, files: Iterable[Path], min_score: float, pictured: Sequence[int] = ()
) -> tuple[list[SceneScores], list[SceneResult]]:
    """Scores of every scene, and what a picture of the `pictured` ones (by number) needs."""
    segmenter.warm_up()
    scores, pictures = [], []
    for i, path in enumerate(files):
        scene = read_scene(path)
        scored, found = evaluate_scene(segmenter, scene, min_score)
        scores.append(scored)
        if i in pictured:
            pictures.append(picture(scene, scored, found, min_score))
    return scores, pictures


def evaluate_scene(segmenter: Segmenter, scene: Scene, min_score: float) -> tuple[SceneScores, Instances]:
    """Segment a scene and score it; AP sees all instances, overlap those with at least `min_score`."""
    start = time.perf_counter()
    found = segmenter(scene.cloud.xyz, scene.cloud.rgb)
    passed = (time.perf_counter() - start) * 1e3
    scan = ScanResult(found.masks, found.scores, found.class_ids, scene.semantic, scene.instance)
    intersections = intersect(scan, OBJECT, MIN_REGION)
    precision = _agnostic([intersections])
    return SceneScores(scene.name, passed, overlap(scan, OBJECT, min_score), precision, intersections), found


def _agnostic(tables: Sequence[Intersections]) -> ClassScores:
    """Any class of prediction may be any object: these scenes name none."""
    return precision_of(tables, 1, MIN_REGION, class_agnostic=True).mean


def pool(scenes: Sequence[SceneScores]) -> Scores:
    """Scores over all scenes."""
    overlaps = [scene.overlap for scene in scenes]
    objects = sum(one.objects for one in overlaps)
    names = ("precision", "recall", "f")
    means = {name: float(np.mean([getattr(one, name) for one in overlaps])) for name in names}
    means["share"] = sum(one.good for one in overlaps) / objects if objects else float("nan")
    precision = _agnostic([scene.intersections for scene in scenes])
    return Scores(precision, means, float(np.median([scene.milliseconds for scene in scenes])))


def report(scenes: Sequence[SceneScores], pooled: Scores) -> str:
    """A table, one line a scene and one for all."""
    names = "AP", "AP50", "AP25", "P", "R", "F", "F>=.75", "ms"
    head = f"{'scene':<12}" + "".join(f"{name:>8}" for name in names)
    lines = [_line(one.name, one.precision, _shares(one.overlap), one.milliseconds) for one in scenes]
    last = _line("all", pooled.precision, pooled.overlap, pooled.milliseconds)
    return "\n".join([head, *lines, "-" * len(head), last])


def _line(name: str, precision: ClassScores, segments: dict[str, float], milliseconds: float) -> str:
    values = precision.ap, precision.ap50, precision.ap25, *segments.values()
    return f"{name:<12}" + "".join(f"{value:8.3f}" for value in values) + f"{milliseconds:8.0f}"


def _shares(found: Overlap) -> dict[str, float]:
    """Precision, recall, F, and share of objects with F >= 0.75."""
    return {"precision": found.precision, "recall": found.recall, "f": found.f, "share": found.good_share}


def as_json(scenes: Sequence[SceneScores], pooled: Scores) -> dict[str, Any]:
    """The same as plain values; null where a scene has no objects."""
    records = [
        {"scene": one.name, **_record(one.precision, _shares(one.overlap), one.milliseconds)}
        for one in scenes
    ]
    return {"all": _record(pooled.precision, pooled.overlap, pooled.milliseconds), "scenes": records}


def _record(precision: ClassScores, segments: dict[str, float], milliseconds: float) -> dict[str, Any]:
    groups = {"precision": asdict(precision), "overlap": segments, "time": {"milliseconds": milliseconds}}
    return {
        name: {key: None if np.isnan(value) else round(value, 6) for key, value in values.items()}
        for name, values in groups.items()
    }


def picture(scene: Scene, scores: SceneScores, found: Instances, min_score: float) -> SceneResult:
    """The scene beside its labels and the instances that count."""
    kept = int((found.scores >= min_score).sum())  # instances come by falling score
    labels = np.where(found.labels <= kept, found.labels, 0)
    caption = f"found: {kept}    F {scores.overlap.f:.2f}    AP50 {scores.precision.ap50:.2f}"
    truth = np.where(scene.instance >= 0, scene.instance + 1, 0)
    return SceneResult(scene.name, scene.cloud, truth, labels, caption, found.rotation[2])
