# SPDX-License-Identifier: Apache-2.0
"""What the extra `simulation` brings: found without importing what is not needed."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

INSTALL = "pip install sphmask[simulation]"


class MissingExtraError(ImportError):
    """A package of the extra `simulation` is not installed."""


def needed(module: str) -> Any:
    """Returns the module, imported; one line that says what to install where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module}: not installed; simulated scenes of meshes need it: {INSTALL}"
        ) from error


def folder(package: str) -> Path:
    """Returns where a package's files are; the package itself is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(f"{package}: not installed; simulated scenes of meshes need it: {INSTALL}")
    return Path(next(iter(spec.submodule_search_locations)))
