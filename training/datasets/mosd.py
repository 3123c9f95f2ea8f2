# SPDX-License-Identifier: Apache-2.0
"""Kinect frames of tables from the (modified) Object Segmentation Database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sphmask_core import scenes
from sphmask_core.config import Config
from sphmask_core.frames import upright
from sphmask_core.superpoints import superpoints_of
from sphmask_core.voxels import Points, normalize_colors, voxelize
from training.parallel import in_parallel
from training.scene import Scene, thin

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
    return thin(prepare(raw, config), 1 / (POINTS_PER_EDGE * config.model.voxel_scale))


def prepare(raw: scenes.Scene, config: Config) -> Scene:
    """One frame as the model sees it, every finite point."""
    finite = np.isfinite(raw.cloud.xyz).all(1)
    xyz = torch.from_numpy(raw.cloud.xyz[finite])
    xyz = upright(xyz, config.up).apply(xyz) / config.unit
    rgb = (
        torch.zeros_like(xyz)
        if raw.cloud.rgb is None
        else normalize_colors(torch.from_numpy(raw.cloud.rgb[finite]))
    )
    voxels = voxelize([Points(xyz, rgb)], config.model.voxel_scale)
    superpoints = superpoints_of(voxels, config.superpoints)
    return Scene(
        xyz=xyz.numpy(),
        rgb=rgb.numpy(),
        superpoints=superpoints[voxels.point_to_voxel].numpy(),
        semantic=raw.semantic[finite],
        instance=raw.instance[finite],
    )


def scene_files(config: Config, split: str) -> list[Path]:
    """Files of a split; nothing held out, all of them train."""
    every = split == "train" and not config.train.hold_out
    return scenes.scene_files(config.train.root, "all" if every else split)
