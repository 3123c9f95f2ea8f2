# SPDX-License-Identifier: Apache-2.0
"""Times of rival implementations, side by side in one run."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with this many threads of torch and of our kernels."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cpu_ms(call: Callable[[], Any]) -> float:
    """Returns the processor time of one call, all threads together, milliseconds: other programs do not
    count."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def wall_ms(call: Callable[[], Any]) -> float:
    """Returns the time of one call by the clock, milliseconds."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def side_by_side(
    calls: Mapping[str, Callable[[], Any]], repeats: int, clock: Callable[[Callable[[], Any]], float] = cpu_ms
) -> dict[str, float]:
    """Returns the median time of each call, milliseconds; the calls take turns, so that they meet the same
    machine."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(clock(call))
    return {name: sorted(each)[repeats // 2] for name, each in times.items()}


def peer(module: str) -> ModuleType | None:
    """Returns a rival library; where it is missing, prints a line that says why it is left out, and returns
    None."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        print(f"{module}: left out ({error}); pip install it to compare")
        return None


def print_ratios(title: str, times: Mapping[str, float]) -> None:
    """Print one line: each time in milliseconds, and how many times as long as the first (ours) the others
    took."""
    (ours, base), *others = times.items()
    text = [f"{ours} {base:9.2f} ms"]
    text += [f"{name} {time:9.2f} ms ({time / base:5.1f} x)" for name, time in others]
    print(f"{title:32s} " + "   ".join(text))
