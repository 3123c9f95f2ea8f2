# SPDX-License-Identifier: Apache-2.0
"""A thread that always works on the newest item."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFirst(Generic[Item]):
    """Calls `work` on a thread of its own with the newest item offered; older ones are dropped."""

    def __init__(self, work: Callable[[Item], None]) -> None:
        self._work = work
        self._item: Item | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="newest first", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> bool:
        """Hand over an item; returns at once, whether it replaced one that waited."""
        with self._changed:
            dropped = self._item is not None
            self._item = item
            self._changed.notify()
        return dropped

    def stop(self, timeout: float | None = None) -> None:
        """Finish the item at hand, drop a waiting one, end the thread; wait `timeout` seconds at most."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (item := self._next()) is not None:
            self._work(item)

    def _next(self) -> Item | None:
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._stopping)
            item, self._item = self._item, None
            return None if self._stopping else item
