# SPDX-License-Identifier: Apache-2.0
"""What takes long is done on a thread of its own, beside the executor, which answers others meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.task import Future

Call: TypeAlias = "tuple[Callable[..., Any], tuple[Any, ...]]"
"""A function and its arguments."""


class Beside:
    """Makes calls beside the executor, for callbacks of one node that are coroutines.

    A callback that waits keeps its callback group, so it needs another one than what is to go on meanwhile.
    """

    def __init__(self, node: Node) -> None:
        self._done = node.create_guard_condition(lambda: None)  # the executor then looks at who waits for it
        self._prepared: dict[Call, Future[Any]] = {}

    async def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what `work` returns, or raises what it raises."""
        return await self._begin(work, *arguments)

    async def prepare(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Make a call whose outcome `take` is about to be asked for."""
        outcome = self._begin(work, *arguments)
        with suppress(Exception):  # `take` raises it
            await outcome
        self._prepared = {(work, arguments): outcome}

    def take(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Returns, or raises, what this very call did in `prepare`; calls here and now if it was not made.

        Whatever else was prepared is forgotten.
        """
        outcome = self._prepared.get((work, arguments))
        self._prepared = {}
        return work(*arguments) if outcome is None else outcome.result()

    def _begin(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        outcome: Future[Any] = Future()

        def run() -> None:
            try:
                outcome.set_result(work(*arguments))
            except Exception as error:
                outcome.set_exception(error)
            with suppress(InvalidHandle):  # the node has ended
                self._done.trigger()

        threading.Thread(target=run, name="beside", daemon=True).start()
        return outcome
