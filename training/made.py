# SPDX-License-Identifier: Apache-2.0
"""Scenes that a function of a seed makes (mixtures, simulations, frames of a folder), kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sphmask_core.clouds import scenes
from sphmask_core.clouds.on_demand import OnDemand
from sphmask_core.clouds.prepared import Table, map_table
from sphmask_core.config import Config
from sphmask_core.method.preparation import prepare
from sphmask_core.method.voxels import normalize_colors
from sphmask_core.palette import MID_BRIGHTNESS

from .cache import Kept, cache_root, fill, keep
from .scene import TrainingScene, thin

POINTS_PER_EDGE = 2
"""Points that scenes keep along the edge of a voxel."""
PREPARATION = 1
"""Version of what `thinned` and `prepare` make of a cloud: raise it when that changes."""


@dataclass(frozen=True)
class Maker:
    """Makes labeled clouds, each from its seed alone."""

    name: str
    """Name of the kind of cloud, in file names and beside the bar of progress."""
    make: Callable[[int], scenes.Scene]
    """Goes to many processes by pickle: a function of a module, or an object of such a class."""
    key: dict[str, Any]
    """All that decides what `make` returns but the seed, as plain values: settings, files, a version."""


@dataclass(frozen=True)
class SplitSeeds:
    """Says which seeds the simulated scenes of each split have."""

    train: int
    """First seed of the split train."""
    val: int
    """First seed of the split val: so far from the other that no scene is in both."""
    val_scenes: int
    """Scenes of the split val."""

    def of(self, split: str, training: int, skip: int) -> range:
        """Returns the seeds of a split; training: number of scenes to train on; skip: of those before."""
        first, count = (self.train + skip, training) if split == "train" else (self.val, self.val_scenes)
        return range(first, first + count)


@dataclass(frozen=True)
class MadeScenes(OnDemand[TrainingScene]):
    """Scenes as the model sees them, each read from its file when it is asked for, or made if need be.

    So training begins at once, and the processes that load its scenes make those that are missing.
    """

    kept: tuple[Kept, ...]
    unit: float
    """Meters in one model unit."""

    def item(self, index: int) -> TrainingScene:
        """Reads a scene from its file."""
        return self._read(self.kept[index].path())

    def __len__(self) -> int:
        return len(self.kept)

    def __add__(self, others: MadeScenes) -> MadeScenes:
        return MadeScenes(self.kept + others.kept, self.unit)

    def __mul__(self, times: int) -> MadeScenes:
        """Returns the list with every scene so many times."""
        return MadeScenes(self.kept * times, self.unit)

    def with_classes(self, classes: Iterable[int]) -> MadeScenes:
        """Returns those of the scenes that have points of any of these semantic classes; all are made now."""
        wanted = list(classes)
        files = fill(self.kept, "scenes")
        chosen = [scene for scene, file in zip(self.kept, files, strict=True) if _has_any(file, wanted)]
        return MadeScenes(tuple(chosen), self.unit)

    def missing(self) -> int:
        """Returns the number of scenes that are yet to be made."""
        return sum(not file.exists() for file in {scene.file for scene in self.kept})

    def _read(self, file: Path) -> TrainingScene:
        table = map_table(file)
        assert table.rgb is not None and table.superpoints is not None
        assert table.semantic is not None and table.instance is not None
        rgb = normalize_colors(torch.from_numpy(np.ascontiguousarray(table.rgb)))
        numbers = (table.superpoints, table.semantic, table.instance)
        superpoints, semantic, instance = (column.astype(np.int64) for column in numbers)
        xyz = np.divide(table.xyz, np.float32(self.unit), dtype=np.float32)
        return TrainingScene(xyz, rgb.numpy(), superpoints, semantic, instance)


@dataclass(frozen=True)
class MadeClouds(OnDemand[scenes.Scene]):
    """Labeled clouds as they are, each read from its file when it is asked for, or made if need be.

    Who goes through all of them makes all that are missing by all cores at first.
    """

    kept: tuple[Kept, ...]
    name: str
    """Of the kind of cloud."""

    def __iter__(self) -> Iterator[scenes.Scene]:
        fill(self.kept, f"{self.name}-clouds")
        return super().__iter__()

    def item(self, index: int) -> scenes.Scene:
        """Reads a cloud from its file."""
        kept = self.kept[index]
        return scenes.read_prepared(kept.path(), f"{self.name}{kept.seed}")

    def __len__(self) -> int:
        return len(self.kept)


def _has_any(file: Path, classes: Sequence[int]) -> bool:
    semantic = map_table(file).semantic
    return semantic is not None and bool(np.isin(semantic, classes).any())


def made_scenes(maker: Maker, seeds: Sequence[int], config: Config) -> MadeScenes:
    """Returns what training sees of the maker's clouds: upright, thinned, with the superpoints of inference.

    None is made before it is asked for.
    """
    key = maker.key | {"preparation": _preparation(config)}
    make = partial(_thinned_table, maker.make, config)
    kept = keep(cache_root(config), f"{maker.name}-scenes", key, make, seeds)
    return MadeScenes(tuple(kept), config.unit)


def made_clouds(maker: Maker, seeds: Sequence[int], config: Config) -> MadeClouds:
    """Returns the maker's clouds as they are, for validation; none is made before it is asked for."""
    make = partial(_cloud_table, maker.make)
    kept = keep(cache_root(config), f"{maker.name}-clouds", maker.key, make, seeds)
    return MadeClouds(tuple(kept), maker.name)


def thinned(raw: scenes.Scene, config: Config) -> TrainingScene:
    """Returns one frame as the model sees it, with a few points a voxel: what training keeps."""
    return thin(prepared(raw, config), 1 / (POINTS_PER_EDGE * config.model.voxel_scale))


def prepared(raw: scenes.Scene, config: Config) -> TrainingScene:
    """Returns one frame as the model sees it, every finite point."""
    rgb = None if raw.cloud.rgb is None else torch.from_numpy(raw.cloud.rgb)
    cloud = prepare(torch.from_numpy(raw.cloud.xyz), rgb, config)
    rows = cloud.rows.numpy()
    return TrainingScene(
        xyz=cloud.points.xyz.numpy(),
        rgb=cloud.points.rgb.numpy(),
        superpoints=cloud.point_superpoints.numpy(),
        semantic=raw.semantic[rows],
        instance=raw.instance[rows],
    )


def _preparation(config: Config) -> dict[str, Any]:
    """Returns the settings that decide what `thinned` makes of a cloud."""
    return {
        "version": PREPARATION,
        "points_per_edge": POINTS_PER_EDGE,
        "voxel_size": config.voxel_size,
        "voxel_scale": config.model.voxel_scale,
        "use_superpoints": config.model.use_superpoints,
        "up": config.up,
        "supports": config.supports,
        "ground": config.ground,
        "parts": config.inference.parts,
        "superpoints": asdict(config.superpoints),
    }


def _thinned_table(make: Callable[[int], scenes.Scene], config: Config, seed: int) -> Table:
    scene = thinned(make(seed), config)
    colors = np.round((scene.rgb + 1) * MID_BRIGHTNESS).astype(np.uint8)
    return Table(
        scene.xyz * np.float32(config.unit), colors, scene.semantic, scene.instance, scene.superpoints
    )


def _cloud_table(make: Callable[[int], scenes.Scene], seed: int) -> Table:
    scene = make(seed)
    return Table(scene.cloud.xyz, scene.cloud.rgb, scene.semantic, scene.instance)
