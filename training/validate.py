# SPDX-License-Identifier: Apache-2.0
"""Average precision on labelled scenes, by the path that users' clouds take."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sphmask_core.model import SphericalMask
from sphmask_core.protocol import protocol_of
from sphmask_core.scenes import Scene, Split
from sphmask_core.segmenter import Segmenter


def validate(model: SphericalMask, scenes: Sequence[Scene], device: torch.device) -> dict[str, float]:
    """AP, AP50 and AP25 of the model on whole scenes, as `sphmask eval` scores them."""
    segmenter, config = Segmenter(model, device), model.config
    manifest = scenes.manifest if isinstance(scenes, Split) else None
    protocol = protocol_of(config.train.dataset, manifest, config)
    tables = []
    for scene in map(protocol.prepare, scenes):
        tables.append(protocol.table(protocol.scan(scene, protocol.segment(segmenter, scene))))
    mean = protocol.precision(tables).mean
    return {"AP": mean.ap, "AP50": mean.ap50, "AP25": mean.ap25}
