# SPDX-License-Identifier: Apache-2.0
"""The library of kernels that this processor runs fastest."""

from __future__ import annotations

import ctypes
import importlib.machinery
import os
from pathlib import Path

from sphmask_core.native.levels import LEVELS, Level, processor_features, runnable

VARIABLE = "SPHMASK_CPU"
"""Environment variable that names a level below the best, for tests and to compare."""


def library_path(level: Level) -> Path | None:
    """Returns the file of a level's kernels, None where they are not built."""
    folder = Path(__file__).parent
    paths = (folder / f"{level.module}{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES)
    return next((path for path in paths if path.exists()), None)


def usable_levels() -> list[Level]:
    """Returns the levels that are built and that this processor runs, the best first."""
    return [level for level in runnable(LEVELS, processor_features()) if library_path(level)]


def choose_level() -> Level:
    """Returns the best level, or the one that SPHMASK_CPU names."""
    levels, wanted = usable_levels(), os.environ.get(VARIABLE)
    if not levels and not any(library_path(level) for level in LEVELS):
        raise ImportError(f"{Path(__file__).parent}: the C++ kernels are not built; run `pip install -e .`")
    if not levels:
        raise ImportError(f"this processor is below {LEVELS[0].name}, the least that the C++ kernels run on")
    names = [level.name for level in levels]
    if not wanted:
        return levels[0]
    if wanted not in names:
        raise ImportError(f"{VARIABLE}={wanted}: this machine has kernels for {', '.join(names)}; unset it")
    return levels[names.index(wanted)]


def open_library(level: Level) -> ctypes.CDLL:
    """Returns the C functions of a level."""
    path = library_path(level)
    if path is None:
        raise ImportError(f"the C++ kernels for {level.name} are not built; run `pip install -e .`")
    return ctypes.CDLL(str(path))
