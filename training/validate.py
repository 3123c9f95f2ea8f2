# SPDX-License-Identifier: Apache-2.0
"""Average precision on labelled scenes, by the path that users' clouds take."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sphmask_core.metrics import ScanResult, average_precision
from sphmask_core.model import SphericalMask
from sphmask_core.scenes import Scene
from sphmask_core.segmenter import Segmenter


def validate(model: SphericalMask, scenes: Sequence[Scene], device: torch.device) -> dict[str, float]:
    """AP, AP50 and AP25 of the model on whole scenes."""
    segmenter = Segmenter(model, device)
    scans = [segment(segmenter, scene) for scene in scenes]
    config = model.config
    mean = average_precision(scans, len(config.instance_classes), config.class_shift).mean
    return {"AP": mean.ap, "AP50": mean.ap50, "AP25": mean.ap25}


def segment(segmenter: Segmenter, scene: Scene) -> ScanResult:
    """What the segmenter finds in a scene, beside its labels."""
    found = segmenter(scene.cloud.xyz, scene.cloud.rgb)
    return ScanResult(found.masks, found.scores, found.class_ids, scene.semantic, scene.instance)
