# SPDX-License-Identifier: Apache-2.0
"""Prepare one source: write its scenes, then the record that says so."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sphmask_core.clouds.coordinates import far_offset
from sphmask_core.clouds.prepared import SceneRecord, Table, scene_path, write_table
from sphmask_core.config import Config
from sphmask_core.method.preparation import prepare
from sphmask_core.runtime.files import replacing

from .source import FormatError, NamedTable, Options, Source, naming

RECORDS = ".records"
"""Folder of what was prepared so far, a file a source."""


@dataclass(frozen=True)
class Job:
    """Names a source to prepare, and where its scenes go."""

    source: Source
    options: Options
    out: Path

    @property
    def record(self) -> Path:
        """Returns the file that is written when all scenes of the source are."""
        return self.out / RECORDS / f"{self.source.split}_{self.source.name}.json"

    @property
    def settings(self) -> dict[str, Any]:
        """Returns all that the result depends on but the raw files' contents."""
        config = self.options.config
        values = {
            "files": [str(file.absolute()) for file in self.source.files],
            "dataset": config.data.dataset,
            "classes": config.semantic_classes,
            "fields": asdict(config.data.fields),
            "superpoints": [
                self.options.superpoints,
                config.model.use_superpoints,
                asdict(config.superpoints),
            ],
            "frame": [config.voxel_size, config.up],
        }
        return dict(json.loads(json.dumps(values)))


def is_done(job: Job) -> bool:
    """Returns whether the source was prepared with these settings, after its files last changed."""
    try:
        if json.loads(job.record.read_text())["settings"] != job.settings:
            return False
        newest = max(file.stat().st_mtime for file in job.source.files)
        kept = all(scene_path(job.out, scene.split, scene.name).is_file() for scene in scenes_of(job))
        return kept and job.record.stat().st_mtime > newest
    except (OSError, ValueError, KeyError, TypeError):
        return False


def scenes_of(job: Job) -> list[SceneRecord]:
    """Returns the scenes that were made of the source."""
    return [SceneRecord(**scene) for scene in json.loads(job.record.read_text())["scenes"]]


def do(job: Job) -> str | None:
    """Prepares a source. Returns what went wrong, on one line, or None."""
    try:
        with naming(job.source.files[0]):
            _do(job)
    except FormatError as error:
        return str(error)
    return None


def _do(job: Job) -> None:
    scenes = []
    for scene in job.source.read(job.source, job.options):
        if not np.isfinite(scene.table.xyz).all():
            raise FormatError(f"{job.source.files[0]}: has points without a position")
        origin = _origin(scene.table, job.options)
        table = _with_superpoints(replace(scene.table, xyz=scene.table.xyz - origin), job.options)
        write_table(scene_path(job.out, job.source.split, scene.name), table)
        scenes.append(asdict(_record(scene, job.source.split, origin)))
    job.record.parent.mkdir(parents=True, exist_ok=True)
    with replacing(job.record) as partial:
        partial.write_text(json.dumps({"settings": job.settings, "scenes": scenes}))


def _origin(table: Table, options: Options) -> np.ndarray:
    """Returns (3,) the mean point; own clouds keep their origin, where their sensor may stand, unless far
    away."""
    if options.config.data.dataset == "folder":
        return far_offset(table.xyz)
    return np.asarray(table.xyz.mean(0, dtype=np.float64))


def _record(scene: NamedTable, split: str, origin: np.ndarray) -> SceneRecord:
    instance = scene.table.instance
    objects = 0 if instance is None else len(np.unique(instance[instance >= 0]))
    x, y, z = origin.tolist()
    return SceneRecord(scene.name, split, len(scene.table), objects, (x, y, z))


def _with_superpoints(table: Table, options: Options) -> Table:
    """Returns the table with superpoints from 0: those it has, or ours; none where the model takes none."""
    config = options.config
    if not config.model.use_superpoints:
        return replace(table, superpoints=None)
    if table.superpoints is not None and options.superpoints == "published":
        return replace(table, superpoints=np.unique(table.superpoints, return_inverse=True)[1])
    return replace(table, superpoints=our_superpoints(table, config))


def our_superpoints(table: Table, config: Config) -> np.ndarray:
    """Returns (N,) superpoints of the points as inference would find them."""
    rgb = None if table.rgb is None else torch.from_numpy(np.ascontiguousarray(table.rgb))
    return prepare(torch.from_numpy(table.xyz.astype(np.float32)), rgb, config).point_superpoints.numpy()
