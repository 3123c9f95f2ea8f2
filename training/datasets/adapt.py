# SPDX-License-Identifier: Apache-2.0
"""A handful of one's own labeled frames, mixtures of them, and simulated ones; validation is on one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sphmask_core.clouds import scenes
from sphmask_core.clouds.cloud import CloudError, read_cloud
from sphmask_core.clouds.labeled_frames import SUFFIX, labeled_scene, read_frame
from sphmask_core.clouds.labeled_images import files_of, is_depth_image, read_images
from sphmask_core.clouds.scenes import BACKGROUND, SUPPORT
from sphmask_core.config import Config
from sphmask_core.method.supports import find_supports

from ..cache import identity
from ..made import MadeScenes, Maker, made_scenes
from ..mixing import Mixtures
from . import synthetic
from .mosd import Frames

ON_SUPPORT = 0.02
"""Meters from the main support within which what is no object is taken for it."""
SEED = 1
"""Seed of the mixtures."""
VERSION = 2
"""Version of what is made of own frames: raise it when that changes."""


def frame_paths(root: str | Path) -> list[Path]:
    """Returns the labeled frames in a folder; raises CloudError where there are none."""
    paths = sorted(
        path
        for path in Path(root).glob("*")
        if path.suffix in (SUFFIX, ".ply", ".pcd") or is_depth_image(path)
    )
    if not paths:
        raise CloudError(f"{root}: holds no frames; give labeled .npz, .ply or .pcd files, or depth images")
    return paths


def own_frame(path: Path) -> scenes.Scene:
    """Returns a labeled frame: objects from 1, 0 for none, -1 unknown; its main support is told from the
    rest."""
    if is_depth_image(path):
        scene = read_images(path)
    elif path.suffix == SUFFIX:
        scene = read_frame(path)
    else:
        cloud = read_cloud(path)
        if cloud.labels is None:
            raise CloudError(f"{path}: has no field label; number its objects from 1, 0 for what is none")
        scene = labeled_scene(path.stem, cloud)
    if not (scene.instance >= 0).any():
        raise CloudError(f"{path}: no object is labeled; number its objects from 1")
    main = find_supports(scene.cloud.xyz).main
    away = np.zeros(len(scene.semantic), bool)
    if main is not None:
        away = np.abs(main.heights(scene.cloud.xyz)) > ON_SUPPORT
    semantic = np.where((scene.semantic == SUPPORT) & away, BACKGROUND, scene.semantic)
    return scenes.Scene(scene.name, scene.cloud, semantic, scene.instance)


def own_mixtures(paths: tuple[Path, ...]) -> Mixtures:
    """Returns mixtures of the objects of organized frames; of a single frame, with itself."""
    return Mixtures(paths * max(1, 2 // len(paths)), SEED, own_frame)


def load_raw(config: Config, split: str) -> list[scenes.Scene]:
    """Returns the frames themselves, whatever the split: adaptation has none to hold out."""
    return [own_frame(path) for path in frame_paths(config.data.root)]


def load_scenes(config: Config, split: str) -> MadeScenes:
    """Returns own frames, mixtures of the organized ones, and simulated frames."""
    paths = tuple(frame_paths(config.data.root))
    files = [file for path in paths for file in (files_of(path) if is_depth_image(path) else [path])]
    key = {"version": VERSION, "files": identity(files)}
    own = made_scenes(Maker("own", Frames(paths, own_frame), key), range(len(paths)), config)
    organized = tuple(path for path in paths if own_frame(path).cloud.shape[0] > 1)
    made = own * config.data.tabletop.real_repeats
    if organized and config.data.tabletop.mixed:
        maker = Maker("own-mixed", own_mixtures(organized), key)
        made = made + made_scenes(maker, range(config.data.tabletop.mixed), config)
    if config.data.tabletop.simulated:
        made = made + synthetic.load_scenes(config, split)
    return made
