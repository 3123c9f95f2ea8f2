# SPDX-License-Identifier: Apache-2.0
"""Data sets by name: a module each.

`load_scenes(config, split)` gives what training sees (`TrainingScene`), `load_raw(config, split)` the clouds
and labels as they stand in their files (`Scene`), on which validation runs. Prepared ones share the module
`prepared`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol, cast

from sphmask_core.clouds.scene import TABLE_CLASSES
from sphmask_core.clouds.scenes import Scene
from sphmask_core.config import Config, ConfigError

from ..scene import TrainingScene


class DataSet(Protocol):
    """What a module of a data set has."""

    def load_scenes(self, config: Config, split: str) -> Sequence[TrainingScene]:
        """Returns what training sees of a split."""

    def load_raw(self, config: Config, split: str) -> Sequence[Scene]:
        """Returns the clouds and labels of a split as they stand in their files."""


TABLES = ("adapt", "mosd", "synthetic", "tabletop")
"""Data sets whose classes are those of tables, whatever they hold."""
PREPARED = ("scannetv2", "scannet200", "s3dis", "stpls3d", "folder")


def dataset(config: Config) -> DataSet:
    """Returns the module of the configuration's data set."""
    name = config.data.dataset
    modules = [module.name for module in pkgutil.iter_modules(__path__) if module.name != "prepared"]
    known = [*modules, *PREPARED]
    if name not in known:
        raise ConfigError(f"data.dataset: no data set {name!r}; there are: {', '.join(known)}")
    if name in TABLES and config.semantic_classes != TABLE_CLASSES:
        classes = ", ".join(TABLE_CLASSES)
        raise ConfigError(f"data.dataset: {name} has the classes {classes}; {config.name} has others")
    imported = importlib.import_module(f"{__name__}.{'prepared' if name in PREPARED else name}")
    return cast(DataSet, imported)
