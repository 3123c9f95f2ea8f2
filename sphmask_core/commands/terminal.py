# SPDX-License-Identifier: Apache-2.0
"""What commands say on the terminal: one line of what is wrong, a bar of progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import TypeVar

from tqdm import tqdm

SUCCESS, BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 0, 2, 130, 141
"""Exit statuses; the last two are those that a shell gives for SIGINT and SIGPIPE."""

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


def check_pictures(wanted: bool) -> None:
    """Raise ModuleNotFoundError where pictures are wanted and cannot be drawn."""
    missing = [
        name for name, module in (("pillow", "PIL"), ("matplotlib", "matplotlib")) if not find_spec(module)
    ]
    if wanted and missing:
        raise ModuleNotFoundError(f"pictures need {' and '.join(missing)}: pip install 'sphmask[view]'")
