# SPDX-License-Identifier: Apache-2.0
"""Data sets by name: a module each.

`load_scenes(config, split) -> Sequence[Scene]` gives what training sees, `load_raw(config, split)` the clouds
and labels as they stand in their files, on which validation runs. Prepared ones share the module `prepared`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from sphmask_core.config import Config, ConfigError

PREPARED = ("scannetv2", "scannet200", "s3dis", "stpls3d", "folder")


def dataset(config: Config) -> ModuleType:
    """The module of the configuration's data set."""
    name = config.data.dataset
    modules = [module.name for module in pkgutil.iter_modules(__path__) if module.name != "prepared"]
    known = [*modules, *PREPARED]
    if name not in known:
        raise ConfigError(f"data.dataset: no data set {name!r}; there are: {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{'prepared' if name in PREPARED else name}")
