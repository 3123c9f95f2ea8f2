# SPDX-License-Identifier: Apache-2.0
"""Output files that are either whole or not there, and never written over what they were made from."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, a user's share of it, and the largest file that the process or the file system allows."""


class NoSpaceError(OSError):
    """A file that does not fit on the disk."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: could not be written: {reason}")
        self.reason = reason


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, of the same suffix; renamed to `path` when the block succeeds.

    What a killed process has left of the same file is removed first. Raises IsADirectoryError at once where
    `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(
            f"{path}: is a folder, where a file is to be written; remove it, or give another name"
        )
    with _temporary(path) as temporary, _naming(path):
        yield temporary
        temporary.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Gives a path of a folder that does not exist yet, renamed to `path` when the block succeeds.

    It has the name of `path`, in a temporary folder beside it: writers name files after their folder.
    """
    with _temporary(path) as temporary, _naming(path):
        temporary.mkdir()
        yield temporary / path.name
        (temporary / path.name).rename(path)


def same_file(path: Path, others: Iterable[Path]) -> Path | None:
    """Returns the first of `others` that is the file or folder `path`, under any name or link, or None."""
    for other in others:
        with suppress(OSError):
            if path.samefile(other):
                return other
    return None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Lets an error of a full disk name the file that was to be written, not one beside it, or none."""
    try:
        yield
    except NoSpaceError as error:
        raise NoSpaceError(path, error.reason) from None
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise NoSpaceError(path, error.strerror or str(error)) from None


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Gives a hidden path beside `path` that names this process; what is there afterwards is removed."""
    _remove_leftovers(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
    finally:
        _remove(temporary)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `path` whose processes have ended."""
    pattern = re.compile(rf"\.{re.escape(path.stem)}\.(\d+)\.partial{re.escape(path.suffix)}")
    with suppress(OSError):  # where the folder cannot be listed there is nothing to be cleaned
        for file in list(path.parent.glob(f".{_literal(path.stem)}.*.partial{_literal(path.suffix)}")):
            match = pattern.fullmatch(file.name)
            if match and not _runs(int(match[1])):
                _remove(file)


def _literal(name: str) -> str:
    """Returns the name as a glob pattern that only it matches."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
