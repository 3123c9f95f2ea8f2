# SPDX-License-Identifier: Apache-2.0
"""Sequences of scenes that are not in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

Item = TypeVar("Item")


class OnDemand(Sequence[Item]):
    """A sequence of which each item is read when it is asked for, and again when it is asked for again."""

    @abstractmethod
    def item(self, index: int) -> Item:
        """Reads the item of an index in 0 .. len-1."""

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self.item(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.item(index % len(self))


@dataclass(frozen=True)
class Joined(OnDemand[Item]):
    """Several sequences as one, in their order."""

    parts: tuple[Sequence[Item], ...]

    def __iter__(self) -> Iterator[Item]:
        for part in self.parts:
            yield from part

    def item(self, index: int) -> Item:
        """Reads the item from its part."""
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)

    def __len__(self) -> int:
        return sum(map(len, self.parts))
