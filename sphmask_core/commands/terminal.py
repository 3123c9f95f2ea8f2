# SPDX-License-Identifier: Apache-2.0
"""What commands say on the terminal: one line of what is wrong, a bar of progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import TypeVar

from tqdm import tqdm

SUCCESS, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 2, 130, 141
"""Exit statuses; the last two are those that a shell gives for SIGINT and SIGPIPE."""

PACKAGES = {"PIL": "pillow", "matplotlib": "matplotlib"}
"""What is installed to have a module."""

Result = TypeVar("Result")


def complain(reason: str) -> None:
    """Print one line on stderr; where nobody reads it, the work goes on all the same."""
    with suppress(OSError):
        print(f"sphmask: {' '.join(reason.split())}", file=sys.stderr, flush=True)


def with_progress(results: Iterator[Result], count: int, unit: str) -> Iterator[Result]:
    """Gives the results as they come, with a bar on a terminal's stderr when there are several."""
    with tqdm(total=count, unit=unit, leave=False, disable=None if count > 1 else True) as bar:
        for result in results:
            with tqdm.external_write_mode(file=sys.stderr):  # whoever takes the result may print
                yield result
            bar.update()


def follow_blocks(blocks: Sequence[Result]) -> Iterator[Result]:
    """Gives the blocks of a large cloud one by one, with a bar on a terminal's stderr."""
    return with_progress(iter(blocks), len(blocks), "block")


def check_drawing(*modules: str) -> None:
    """Raise ModuleNotFoundError where one of the modules that pictures are drawn with is not installed."""
    missing = [PACKAGES[name] for name in modules if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f"pictures need {' and '.join(missing)}: pip install 'sphmask[view]'")
