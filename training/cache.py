# SPDX-License-Identifier: Apache-2.0
"""Scenes that are made once: a folder of memory-mapped files, shared by runs and by their processes.

The folder's name holds a hash of all that decides what the scenes are, so that other settings have another
folder and nothing has to be thrown away. A scene is made when it is first asked for, or many by `fill`.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sphmask_core.clouds.prepared import Table, write_table
from sphmask_core.config import Config, ConfigError

from .parallel import in_parallel, own_cores

LAYOUT = 1
"""Version of what the files hold."""
HASH_DIGITS = 16
"""Hexadecimal digits of the key's hash in a folder's name."""


def cache_root(config: Config) -> Path:
    """Returns `data.cache`, or the folder sphmask of the user's caches (XDG Base Directory Specification)."""
    if config.data.cache:
        return Path(config.data.cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sphmask"


def identity(files: Sequence[Path]) -> list[tuple[str, int, int]]:
    """Returns the name, size and time of change of data files: a part of the key of what is made from
    them."""
    stats = [(file.name, file.stat()) for file in files]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


@dataclass(frozen=True)
class Kept:
    """Is a scene that is on disk once somebody has asked for it."""

    file: Path
    make: Callable[[int], Table]
    """A function of a module, or an object of a class: it goes to many processes by pickle."""
    seed: int

    def path(self) -> Path:
        """Returns the scene's file, and makes it first where it is missing; raises what `make` raises."""
        if not self.file.exists():
            write_table(self.file, self.make(self.seed))
        return self.file


def keep(
    root: Path, name: str, key: Mapping[str, Any], make: Callable[[int], Table], seeds: Sequence[int]
) -> list[Kept]:
    """Returns the scenes `make(seed)`, none of which is made yet but those that an earlier run made.

    name: of the kind of scene, as people read it; key: all that decides what `make` returns, plain values.
    Raises ConfigError where the folder cannot be written.
    """
    folder = root / f"{name}-{_digest(key)}"
    _open_folder(folder, key)
    return [Kept(folder / f"{seed}.npy", make, seed) for seed in seeds]


def fill(kept: Sequence[Kept], name: str) -> list[Path]:
    """Returns the files of scenes, those that are missing made by all cores of this machine.

    name: beside the bar of progress. Raises what making them raises.
    """
    different = {scene.file: scene for scene in kept}.values()
    missing = [scene for scene in different if not scene.file.exists()]
    # In an order of its own, so that processes that fill one folder together seldom make the same scene.
    random.Random(os.getpid()).shuffle(missing)
    make = partial(_path, missing)  # goes to each process once
    done = in_parallel(make, range(len(missing)), own_cores())
    total = len(missing)
    for _ in tqdm(done, desc=name, total=total, unit="scene", disable=not total, dynamic_ncols=True):
        pass
    return [scene.file for scene in kept]


def _path(kept: Sequence[Kept], index: int) -> Path:
    return kept[index].path()


def _digest(key: Mapping[str, Any]) -> str:
    text = json.dumps({"layout": LAYOUT, **key}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def _open_folder(folder: Path, key: Mapping[str, Any]) -> None:
    """Make the folder, and say in it what its scenes are."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "key.json").write_text(json.dumps(key, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise ConfigError(
            f"data.cache: {folder}: {error.strerror}; name a folder that can be written"
        ) from None
