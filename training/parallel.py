# SPDX-License-Identifier: Apache-2.0
"""Work done by many processes, with results as they come."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

from .distributed import world_size
from .interrupts import ignore_interrupts

Item = TypeVar("Item")
Result = TypeVar("Result")

_work: Callable[[Any], Any]
"""What this process does, where it is one of those that `in_parallel` started."""


def in_parallel(do: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[Result]:
    """Yields the results of `do(item)`, in the order in which they are ready; the first error is raised as it
    is.

    `do` goes to each process once, by pickle, so that what it keeps serves all items that the process gets.
    With one process, or one item, this process does the work.
    """
    if min(processes, len(items)) <= 1:
        yield from map(do, items)
        return
    fresh = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads in an unknown state
    with ProcessPoolExecutor(min(processes, len(items)), fresh, _begin, (do,)) as pool:
        try:
            for future in as_completed([pool.submit(_do, item) for item in items]):
                yield future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def own_cores() -> int:
    """Returns the cores for each process of a training run on this machine, at least one."""
    return max(len(os.sched_getaffinity(0)) // world_size(), 1)


def _begin(do: Callable[[Any], Any]) -> None:
    global _work
    _work = do
    torch.set_num_threads(1)
    ignore_interrupts()


def _do(item: Any) -> Any:
    return _work(item)
