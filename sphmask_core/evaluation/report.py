# SPDX-License-Identifier: Apache-2.0
"""Scores as tables for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from sphmask_core.evaluation.detections import Detections
from sphmask_core.evaluation.metrics import ClassScores, Overlap
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.evaluation.scoring import SceneScores, Scores, pool

WIDTH = 20
"""Characters of the first column."""


def scene_table(scenes: Sequence[SceneScores], pooled: Scores) -> str:
    """Returns a table with one line for each scene and one for all of them."""
    names = "AP", "AP50", "AP25", "P", "R", "F", "F>=.75", "ms"
    head = f"{'scene':<12}" + "".join(f"{name:>8}" for name in names)
    lines = [
        _scene_line(scene.name, scene.precision, _shares(scene.overlap), scene.milliseconds)
        for scene in scenes
    ]
    last = _scene_line("all", pooled.precision.mean, pooled.overlap, pooled.milliseconds)
    return "\n".join([head, *lines, "-" * len(head), last])


def group_table(scenes: Sequence[SceneScores], groups: Sequence[str], protocol: Protocol) -> str:
    """Returns one line a group of scenes, of those that a split names; nothing where it names none."""
    lines = []
    for group in dict.fromkeys(groups):
        members = [scene for scene, name in zip(scenes, groups, strict=True) if name == group]
        pooled = pool(members, protocol)
        lines.append(_scene_line(group, pooled.precision.mean, pooled.overlap, pooled.milliseconds))
        lines.append(f"  {detection_line(pooled.detections)}")
    return "\n".join(lines)


def detection_line(detections: Detections) -> str:
    """Returns the precision and recall at the score threshold, in words."""
    return (
        f"shown at the threshold: precision {detections.precision:.3f}, recall {detections.recall:.3f} "
        f"at an IoU of 0.5 ({detections.hits} right of {detections.shown} shown, "
        f"{detections.objects} objects)"
    )


def _scene_line(name: str, precision: ClassScores, segments: dict[str, float], milliseconds: float) -> str:
    values = precision.ap, precision.ap50, precision.ap25, *segments.values()
    return f"{name:<12}" + "".join(f"{value:8.3f}" for value in values) + f"{milliseconds:8.0f}"


def class_table(pooled: Scores, protocol: Protocol) -> str:
    """Returns a table: a line for each class that has objects, the mean, all objects as one class.

    The last line has S3DIS' scores, where they were computed.
    """
    names = "AP", "AP50", "AP25", "RC", "RC50", "RC25"
    head = f"{'class':<{WIDTH}}" + "".join(f"{name:>8}" for name in names)
    scored = zip(protocol.classes, pooled.precision.classes, strict=True)
    lines = [_class_line(name, scores) for name, scores in scored if not np.isnan(scores.ap)]
    ends = [_class_line("mean", pooled.precision.mean), _class_line("class-agnostic", pooled.agnostic)]
    if pooled.coverage is not None:
        coverage = pooled.coverage
        ends.append(
            f"mCov {coverage.cov:.3f}   mWCov {coverage.weighted_cov:.3f}   "
            f"mPrec {coverage.precision:.3f}   mRec {coverage.recall:.3f}"
        )
    return "\n".join([head, *lines, "-" * len(head), *ends])


def _class_line(name: str, scores: ClassScores) -> str:
    return f"{name:<{WIDTH}.{WIDTH}}" + "".join(f"{value:8.3f}" for value in vars(scores).values())


def _shares(overlap: Overlap) -> dict[str, float]:
    """Returns precision, recall, F, and the share of objects with F >= 0.75."""
    return {
        "precision": overlap.precision,
        "recall": overlap.recall,
        "f": overlap.f,
        "share": overlap.good_share,
    }


def as_json(scenes: Sequence[SceneScores], pooled: Scores, protocol: Protocol) -> dict[str, Any]:
    """Returns all scores as plain values; None where there are no objects."""
    values: dict[str, Any] = {
        "all": _record(pooled.precision.mean, pooled.overlap, pooled.milliseconds),
        "class_agnostic": _plain(asdict(pooled.agnostic)),
        "scenes": [
            {"scene": scene.name, **_record(scene.precision, _shares(scene.overlap), scene.milliseconds)}
            for scene in scenes
        ],
    }
    if protocol.classes:
        scored = zip(protocol.classes, pooled.precision.classes, strict=True)
        values["classes"] = {name: _plain(asdict(scores)) for name, scores in scored}
        taken_for = [*protocol.classes, "none"]
        values["confusion"] = {
            name: {other: int(count) for other, count in zip(taken_for, row, strict=True) if count}
            for name, row in zip(protocol.classes, pooled.confusion, strict=True)
            if row.any()
        }
    if pooled.coverage is not None:
        values["coverage"] = _plain(asdict(pooled.coverage))
    return values


def _record(precision: ClassScores, segments: dict[str, float], milliseconds: float) -> dict[str, Any]:
    groups = {"precision": asdict(precision), "overlap": segments, "time": {"milliseconds": milliseconds}}
    return {name: _plain(values) for name, values in groups.items()}


def _plain(values: dict[str, float]) -> dict[str, float | None]:
    return {key: None if np.isnan(value) else round(value, 6) for key, value in values.items()}
