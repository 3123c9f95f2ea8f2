# SPDX-License-Identifier: Apache-2.0
"""Kinect frames of tables from the (modified) Object Segmentation Database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sphmask_core.clouds import scenes
from sphmask_core.config import Config

from ..cache import identity
from ..made import MadeScenes, Maker, made_scenes


@dataclass(frozen=True)
class Frames:
    """Reads frames by number."""

    files: tuple[Path, ...]
    read: Callable[[Path], scenes.Scene] = scenes.read_scene
    """A function of a module: it goes to many processes by pickle."""

    def __call__(self, number: int) -> scenes.Scene:
        """Returns the scene in the file of that number."""
        return self.read(self.files[number])


def load_raw(config: Config, split: str) -> list[scenes.Scene]:
    """Returns the clouds of a split as they stand in their files, with their labels."""
    return [scenes.read_scene(path) for path in scene_files(config, split)]


def load_scenes(config: Config, split: str) -> MadeScenes:
    """Returns the scenes of a split, thinned; superpoints are those that inference would find."""
    files = tuple(scene_files(config, split))
    maker = Maker("frames", Frames(files), {"files": identity(files)})
    return made_scenes(maker, range(len(files)), config)


def scene_files(config: Config, split: str) -> list[Path]:
    """Returns the files of a split; nothing held out, all of them train."""
    every = split == "train" and not config.data.tabletop.hold_out
    return scenes.scene_files(config.data.root, "all" if every else split)
