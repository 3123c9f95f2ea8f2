# SPDX-License-Identifier: Apache-2.0
"""Many items, one model a worker: one after the other in this process, or on all the machines Ray has."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Failure:
    """Why there is no result of an item, in one line."""

    reason: str


class Task(Protocol):
    """What has to be done; may be pickled, and sent to where the work is."""

    def __call__(self) -> Callable[[Any], Any]:
        """Start a worker (load the model); returns a function that does one item."""


class Engine(Protocol):
    """Does a task on many items; an item that fails gives a `Failure`, and the others are still done."""

    def __call__(self, task: Task, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Gives the number of each item and its result, as soon as it is there."""


def open_engine(name: str, workers: int | None, device: str) -> Engine:
    """Returns the engine of that name; workers: how many (None: one a core or GPU), for Ray alone."""
    if workers is not None and (name == "local" or workers < 1):
        raise ValueError(f"--workers {workers}: is for --engine ray, and at least 1")
    if name == "local":
        return run_here
    if find_spec("ray") is None:
        raise ModuleNotFoundError("--engine ray: Ray is not installed: pip install 'sphmask[ray]'")
    return Ray(workers, device)


def run_here(task: Task, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Do one item after the other, in this process."""
    work = task()
    for number, item in enumerate(items):
        yield number, attempt(work, item)


def attempt(work: Callable[[Any], Any], item: Any) -> Any:
    """Returns the result, or a `Failure` for bad input, a full disk or too little memory.

    A defect of ours raises.
    """
    try:
        return work(item)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:  # RuntimeError: CUDA's and torch's
        return Failure(" ".join(str(error).split()) or "out of memory")


@dataclass(frozen=True)
class Ray:
    """Ray Data: actors that each hold a model, on the cluster that $RAY_ADDRESS names or on this machine.

    sphmask must be installed on all machines, and paths mean the same files there.
    """

    workers: int | None
    device: str

    def __call__(self, task: Task, items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        """Gives the results in the order in which they are done."""
        import ray
        import ray.data

        logging.getLogger("ray").setLevel(logging.ERROR)  # its own account of every stage
        try:
            ray.init(
                ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
            )
        except Exception as error:  # of no narrower type where a node does not start in time
            raise OSError(f"--engine ray: {_last_line(error)}; check $RAY_ADDRESS, or try again") from error
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        resource = self._resource(ray.cluster_resources())
        most = max(int(ray.cluster_resources()[resource]), 1) if self.workers is None else self.workers
        rows = [{"number": number, "item": pickle.dumps(item)} for number, item in enumerate(items)]
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Actor,
            fn_constructor_args=(task,),
            concurrency=(1, min(most, len(rows))),
            num_cpus=int(resource == "CPU"),
            num_gpus=int(resource == "GPU"),
        )
        try:
            for row in done.iter_rows():
                yield row["number"], pickle.loads(row["result"])  # written by our own workers
        except ray.exceptions.RayError as error:
            raise OSError(f"--engine ray: {_last_line(error)}; --resume goes on") from error

    def _resource(self, available: dict[str, float]) -> str:
        """Returns which of Ray's resources a worker takes one of."""
        wanted = self.device.startswith("cuda") or (self.device == "auto" and available.get("GPU", 0) >= 1)
        return "GPU" if wanted else "CPU"


def _last_line(error: Exception) -> str:
    """Returns the last line of an error of Ray's, which says what is wrong."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1]


class _Actor:
    """A worker in a process of its own."""

    def __init__(self, task: Task) -> None:
        self._work = task()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result = attempt(self._work, pickle.loads(row["item"]))
        return {"number": row["number"], "result": pickle.dumps(result)}
