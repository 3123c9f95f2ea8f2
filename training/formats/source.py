# SPDX-License-Identifier: Apache-2.0
"""What there is to prepare, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sphmask_core.clouds.prepared import UNLABELED, Table
from sphmask_core.config import Config
from sphmask_core.runtime.wording import one_line


class FormatError(ValueError):
    """Raw data that cannot be prepared; one line: file, what is wrong, what would do."""


@dataclass(frozen=True)
class Options:
    """Says what `python -m training.prepare` was asked for."""

    raw: Path
    config: Config
    superpoints: str = "published"
    """`published`: those that come with the data, where there are any; `ours`: from the points alone."""
    partial: bool = False
    """Take fewer scenes than the official splits have."""


@dataclass(frozen=True)
class NamedTable:
    """Holds a scene of a source, with its name."""

    name: str
    table: Table


class Read(Protocol):
    """Reads the scenes of a source; a module's function, so that other processes can call it."""

    def __call__(self, source: Source, options: Options) -> Iterable[NamedTable]:
        """Yields the scenes of a source, with their names."""


@dataclass(frozen=True)
class Source:
    """Raw files that belong together, of which one scene is made, or several."""

    name: str
    split: str
    files: tuple[Path, ...]
    read: Read


def check_files(sources: Sequence[Source]) -> list[str]:
    """Returns a line for every source with files that are not there."""
    missing = [(source, [file for file in source.files if not file.is_file()]) for source in sources]
    return [f"{files[0]}: missing; {source.name} needs it" for source, files in missing if files]


def check_counts(sources: Sequence[Source], official: dict[str, int], options: Options) -> list[Source]:
    """Returns the sources, if the splits are as large as the official ones."""
    if not sources:
        raise FormatError(
            f"{options.raw}: holds no scenes of {options.config.data.dataset}; see docs/datasets.md"
        )
    counts = {split: sum(source.split == split for source in sources) for split in official}
    wrong = [split for split in official if counts[split] != official[split]]
    if wrong and not options.partial:
        differences = ", ".join(f"{split}: {counts[split]} instead of {official[split]}" for split in wrong)
        hint = "give --partial to prepare what is there"
        raise FormatError(f"{options.raw}: not the official number of scenes ({differences}); {hint}")
    return list(sources)


def without_stuff(semantic: np.ndarray, instance: np.ndarray, classes: Iterable[int]) -> np.ndarray:
    """Returns (N,) instances, none on points of these classes."""
    return np.where(np.isin(semantic, list(classes)), UNLABELED, instance)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Raises errors of the block as one line that names the file."""
    try:
        yield
    except FormatError:
        raise
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from None
    except Exception as error:  # parsers of untrusted bytes: whatever they raise, the file is no good
        raise FormatError(f"{path}: {one_line(error)}") from error


def column_of(values: dict[str, Any], key: str, path: Path) -> Any:
    """Returns an entry of a JSON file."""
    if not isinstance(values, dict) or key not in values:
        raise FormatError(f"{path}: has no {key!r}")
    return values[key]
