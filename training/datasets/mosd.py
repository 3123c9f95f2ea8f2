# SPDX-License-Identifier: Apache-2.0
"""Kinect frames of tables from the (modified) Object Segmentation Database."""

from __future__ import annotations

from pathlib import Path

import torch

from sphmask_core.clouds import scenes
from sphmask_core.config import Config
from sphmask_core.method.preparation import prepare

from ..parallel import in_parallel
from ..scene import Scene, thin

POINTS_PER_EDGE = 2
"""Points that scenes keep along the edge of a voxel."""


def load_raw(config: Config, split: str) -> list[scenes.Scene]:
    """The clouds of a split as they stand in their files, with their labels."""
    return [scenes.read_scene(path) for path in scene_files(config, split)]


def load_scenes(config: Config, split: str) -> list[Scene]:
    """Scenes of a split, thinned; superpoints are those that inference would find."""
    files = scene_files(config, split)
    return in_parallel(lambda i: thinned(scenes.read_scene(files[i]), config), len(files), f"{split} scenes")


def thinned(raw: scenes.Scene, config: Config) -> Scene:
    """One frame as the model sees it, with a few points a voxel: what training keeps in memory."""
    return thin(prepared(raw, config), 1 / (POINTS_PER_EDGE * config.model.voxel_scale))


def prepared(raw: scenes.Scene, config: Config) -> Scene:
    """One frame as the model sees it, every finite point."""
    rgb = None if raw.cloud.rgb is None else torch.from_numpy(raw.cloud.rgb)
    cloud = prepare(torch.from_numpy(raw.cloud.xyz), rgb, config)
    rows = cloud.rows.numpy()
    return Scene(
        xyz=cloud.points.xyz.numpy(),
        rgb=cloud.points.rgb.numpy(),
        superpoints=cloud.point_superpoints.numpy(),
        semantic=raw.semantic[rows],
        instance=raw.instance[rows],
    )


def scene_files(config: Config, split: str) -> list[Path]:
    """Files of a split; nothing held out, all of them train."""
    every = split == "train" and not config.data.tabletop.hold_out
    return scenes.scene_files(config.data.root, "all" if every else split)
