# SPDX-License-Identifier: Apache-2.0
"""Scenes that are made once: a folder of memory-mapped files, shared by runs and by their processes.

The folder's name holds a hash of all that decides what the scenes are, so that other settings have another
folder and nothing has to be thrown away. Making goes on where it was stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sphmask_core.clouds.prepared import Table, write_table
from sphmask_core.config import Config, ConfigError

from .distributed import rank, wait_for_all, world_size
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


def fill(
    root: Path, name: str, key: Mapping[str, Any], make: Callable[[int], Table], seeds: Sequence[int]
) -> list[Path]:
    """Returns the files of the scenes `make(seed)`, those that are missing made by all cores of this machine.

    name: of the kind of scene, as people read it; key: all that decides what `make` returns, plain values.
    Raises ConfigError where the folder cannot be written, and what `make` raises.
    """
    folder = root / f"{name}-{_digest(key)}"
    _open_folder(folder, key)
    present = {entry.name for entry in os.scandir(folder)}
    missing = [seed for seed in seeds if _file(seed) not in present]
    of_this_process = missing[rank() :: world_size()]
    # In an order of its own, so that runs that fill one folder together seldom make the same scene.
    random.Random(os.getpid()).shuffle(of_this_process)
    done = in_parallel(partial(_make_file, folder, make), of_this_process, own_cores())
    for _ in tqdm(
        done,
        desc=name,
        total=len(of_this_process),
        unit="scene",
        disable=not of_this_process,
        dynamic_ncols=True,
    ):
        pass
    wait_for_all()
    return [folder / _file(seed) for seed in seeds]


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


def _file(seed: int) -> str:
    return f"{seed}.npy"


def _make_file(folder: Path, make: Callable[[int], Table], seed: int) -> None:
    path = folder / _file(seed)
    if not path.exists():  # another run may have been faster
        write_table(path, make(seed))
