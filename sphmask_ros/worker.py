# SPDX-License-Identifier: Apache-2.0
"""A thread that always works on the newest item of each source, the sources by turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestFirst(Generic[Item]):
    """Calls `work` on a thread of its own with the newest item of each source; older ones are dropped.

    Whoever has waited longest is next: a source that offers more often than others is not served more often.
    No method waits for the work.
    """

    def __init__(self, work: Callable[[Item], None]) -> None:
        self._work = work
        self._waiting: dict[str, Item] = {}
        self._current: Item | None = None
        self._tasks: deque[Callable[[], None]] = deque()
        self._ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="newest first", daemon=True)
        self._thread.start()

    def offer(self, source: str, item: Item) -> bool:
        """Hand over an item; returns whether it replaced one of its source that waited."""
        with self._changed:
            replaced = source in self._waiting
            self._waiting[source] = item  # keeps its source's place in the row
            self._changed.notify()
        return replaced

    def clear(self) -> tuple[list[Item], Item | None]:
        """Forget what waits. Returns that, and the item that is being worked on, if there is one."""
        with self._changed:
            waiting = list(self._waiting.values())
            self._waiting.clear()
            return waiting, self._current

    def then(self, task: Callable[[], None]) -> None:
        """Call a task, which must not raise, on the same thread before the next item."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify()

    def end(self, timeout: float) -> None:
        """End the thread after the item at hand; wait `timeout` seconds at most."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
            del job  # else the last cloud stays in memory until the next one comes
            self._current = None

    def _next(self) -> Callable[[], None] | None:
        """Returns what is to be done next; None: no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or self._waiting or self._ending)
            if self._tasks:
                return self._tasks.popleft()
            if self._ending:
                return None
            item = self._current = self._waiting.pop(next(iter(self._waiting)))
            return lambda: self._work(item)
