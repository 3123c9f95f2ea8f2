# SPDX-License-Identifier: Apache-2.0
"""How each data set is scored, in all that published figures depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.prepared import Manifest
from sphmask_core.clouds.scenes import OBJECT, Scene, every
from sphmask_core.config import Config
from sphmask_core.evaluation.metrics import (
    MIN_REGION,
    Intersections,
    Precision,
    ScanResult,
    intersect,
    labeled_points,
    precision_of,
)
from sphmask_core.method.instances import Instances
from sphmask_core.segmenter import Segmenter

PUBLISHED_TURN = 0.35 * np.pi
"""About z: the published checkpoints were chosen by their score on scenes turned so."""


THINNING = 4
"""One of so many points is scored where a scene is too large (as published)."""


@dataclass(frozen=True)
class Protocol:
    """What scoring a data set takes."""

    classes: tuple[str, ...] = ()
    """Semantic classes that are scored; none: all objects are one class, and so are all predictions."""
    semantic_ids: tuple[int, ...] = ()
    """Semantic class of each class of predictions."""
    turn: float = 0.0
    """Turn of the scene about z before it is segmented, radians."""
    min_region: int = MIN_REGION
    """Points under which objects and predictions do not count for AP."""
    largest: int = 0
    """Scenes of more points are scored on every fourth; 0: any size."""
    coverage: bool = False
    """Score coverage, precision and recall too, as S3DIS is."""
    strict: bool = False
    """Count predictions on the background as wrong in AP too; the benchmarks pass over them."""

    @property
    def shift(self) -> int:
        """Returns what to subtract from semantic labels to have the classes of `scan`."""
        return 0 if self.classes else OBJECT

    def with_classes(self, config: Config) -> Protocol:
        """Returns the protocol with the classes of a model of that configuration."""
        return replace(self, classes=config.semantic_classes, semantic_ids=config.semantic_ids)

    def scored_classes(self, class_ids: np.ndarray) -> np.ndarray:
        """Returns the class (I,) as which each prediction is scored, of its class (I,) of the model."""
        return np.array(self.semantic_ids, int)[class_ids] if self.classes else class_ids

    def prepare(self, scene: Scene) -> Scene:
        """Returns the scene as it is scored: thinned, where the protocol says so and it is large."""
        if not 0 < self.largest < len(scene.cloud.xyz):
            return scene
        return every(scene, THINNING)

    def segment(self, segmenter: Segmenter, scene: Scene, min_score: float | None = None) -> Instances:
        """Segment a scene, turned as the protocol says; min_score None: the model's own."""
        xyz = _turned(scene.cloud.xyz, self.turn)
        return segmenter(xyz, scene.cloud.rgb, scene.superpoints, min_score=min_score)

    def scan(self, scene: Scene, instances: Instances) -> ScanResult:
        """Returns predictions and ground truth, both in semantic classes, or in one class."""
        class_ids = self.scored_classes(instances.class_ids)
        masks, segments = instances.segment_masks, instances.segments
        return ScanResult(masks, instances.scores, class_ids, scene.semantic, scene.instance, segments)

    def table(self, scan: ScanResult) -> Intersections:
        """Returns the intersections of a scan's predictions and objects, from which AP is computed."""
        if not self.strict:
            return intersect(scan, self.shift, self.min_region)
        sizes = intersect(scan, self.shift, 0).sizes
        table = intersect(labeled_points(scan), self.shift, 0)
        kept = (table.sizes >= self.min_region) & (2 * table.sizes > sizes)
        every_object = np.ones(len(table.object_sizes), bool)
        return replace(table, void=np.zeros_like(table.void)).of(kept, every_object)

    def precision(self, tables: Sequence[Intersections], agnostic: bool = False) -> Precision:
        """Returns the AP of each class.

        Where the protocol has no classes, any prediction may be any object.
        """
        one_class = agnostic or not self.classes
        return precision_of(tables, len(self.classes) or 1, self.min_region, one_class)


def protocol_of(dataset: str, manifest: Manifest | None, config: Config) -> Protocol:
    """Returns the protocol of a data set for a model of that configuration, whose classes must be the data
    set's."""
    if manifest is None:
        return Protocol()
    if manifest.semantic_classes != config.semantic_classes:
        ours, theirs = len(config.semantic_classes), len(manifest.semantic_classes)
        raise ValueError(f"{config.name}: its {ours} classes are not the {theirs} of {manifest.dataset}")
    return BENCHMARKS.get(dataset, Protocol()).with_classes(config)


BENCHMARKS = {
    "scannetv2": Protocol(turn=PUBLISHED_TURN),
    "scannet200": Protocol(turn=PUBLISHED_TURN),
    "s3dis": Protocol(turn=PUBLISHED_TURN, largest=5_000_000, coverage=True),
    "stpls3d": Protocol(turn=PUBLISHED_TURN, min_region=10),
}
"""The benchmarks' protocols, as in the published evaluation."""


def _turned(xyz: np.ndarray, angle: float) -> np.ndarray:
    """Returns the points (N, 3) float32 turned about z by an angle in radians."""
    if angle == 0:
        return xyz
    return Rotation.from_euler("z", angle).apply(xyz).astype(np.float32)
