# SPDX-License-Identifier: Apache-2.0
"""Average precision on labeled scenes, by the path that users' clouds take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

import torch

from sphmask_core.clouds.scenes import Scene, Split
from sphmask_core.evaluation.protocol import protocol_of
from sphmask_core.evaluation.scoring import Gallery, score_scenes, segment_scenes
from sphmask_core.method.model import SphericalMask
from sphmask_core.segmenter import Segmenter


def validate(
    model: SphericalMask,
    scenes: Sequence[Scene],
    device: torch.device,
    gallery: Gallery,
    stop: Callable[[], bool],
) -> dict[str, float]:
    """Returns AP, AP50 and AP25 of the model on whole scenes, as `sphmask eval` scores them; none when
    stopped.

    Of simulated scenes of several classes all classes are one, and `class_AP50` is the mean over classes.
    """
    config = model.config
    manifest = scenes.manifest if isinstance(scenes, Split) else None
    protocol = protocol_of(config.data.dataset, manifest, config)
    simulated_classes = manifest is None and len(config.instance_classes) > 1
    if simulated_classes:
        protocol = protocol.with_classes(config)
    segmented = segment_scenes(Segmenter(model, device), scenes, protocol, min_score=0.0)
    wanted = takewhile(lambda _: not stop(), segmented)
    scores = score_scenes(wanted, protocol, config.inference.min_score, gallery)
    if stop():
        return {}
    tables = [scene_scores.intersections for scene_scores in scores]
    mean = protocol.precision(tables, agnostic=simulated_classes).mean
    row = {"AP": mean.ap, "AP50": mean.ap50, "AP25": mean.ap25}
    if simulated_classes:
        row["class_AP50"] = protocol.precision(tables).mean.ap50
    return row
