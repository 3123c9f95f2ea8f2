# SPDX-License-Identifier: Apache-2.0
"""Data sets that `python -m training.prepare` has prepared; scenes are read from their files when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sphmask_core.clouds import scenes
from sphmask_core.clouds.coordinates import far_offset
from sphmask_core.clouds.on_demand import OnDemand
from sphmask_core.config import Config, ConfigError
from sphmask_core.method.preparation import to_model_frame

from ..scene import TrainingScene


def load_raw(config: Config, split: str) -> scenes.Split:
    """Returns the clouds of a split with their labels."""
    opened = scenes.open_split(config.data.dataset, config.data.root, split, config.data.s3dis.area)
    assert opened.manifest is not None
    if opened.manifest.semantic_classes != config.semantic_classes:
        raise ConfigError(f"{config.data.root}: was prepared for other classes than those of {config.name}")
    return opened


def load_scenes(config: Config, split: str) -> Sequence[TrainingScene]:
    """Returns the scenes of a split, whole; `augment.point_share` says how much of one each visit takes."""
    return PreparedScenes(load_raw(config, split), config)


@dataclass(frozen=True)
class PreparedScenes(OnDemand[TrainingScene]):
    """Scenes as the model sees them, each read when it is asked for."""

    split: scenes.Split
    config: Config

    def item(self, index: int) -> TrainingScene:
        """Reads a scene and makes it as the model sees it."""
        return in_model_frame(self.split[index], self.config)

    def __len__(self) -> int:
        return len(self.split)


def in_model_frame(raw: scenes.Scene, config: Config) -> TrainingScene:
    """Returns a cloud as the model sees it."""
    rgb = None if raw.cloud.rgb is None else torch.from_numpy(raw.cloud.rgb)
    xyz = raw.cloud.xyz - far_offset(raw.cloud.xyz)
    _, kept, points = to_model_frame(torch.from_numpy(xyz.astype(np.float32)), rgb, config)
    rows = kept.numpy()
    superpoints = np.zeros(len(rows), np.int64) if raw.superpoints is None else raw.superpoints[rows]
    columns = points.xyz.numpy(), points.rgb.numpy(), superpoints, raw.semantic[rows], raw.instance[rows]
    return TrainingScene(*(np.ascontiguousarray(column) for column in columns))
