# SPDX-License-Identifier: Apache-2.0
"""Work done by many processes, with results as they come."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

from .distributed import world_size
from .interrupts import end_processes, ignore_interrupts

Item = TypeVar("Item")
Result = TypeVar("Result")

GRACE = 2.0
"""Seconds for the items at hand when the work is to end; one that takes longer ends in its midst."""

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
        except Exception:
            pool.shutdown(cancel_futures=True)
            raise
        except BaseException:  # asked to end, by a signal or by whoever takes the results
            pool.shutdown(wait=False, cancel_futures=True)
            end_processes(GRACE)
            raise


def own_cores() -> int:
    """Returns the cores for each process of a training run on this machine, at least one."""
    return max(len(os.sched_getaffinity(0)) // world_size(), 1)


def _begin(do: Callable[[Any], Any]) -> None:
    global _work
    _work = do
    torch.set_num_threads(1)
    ignore_interrupts()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once the one that started it has, however it did: it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _do(item: Any) -> Any:
    return _work(item)
