# SPDX-License-Identifier: Apache-2.0
"""What every kind of bag can do: give its messages by time, and be copied with topics added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ZSTD, NONE = "zstd", "none"
COMPRESSIONS = (ZSTD, NONE)
"""Compressions that a written bag can be asked to have."""


class BagError(ValueError):
    """A bag that cannot be used; one line: file, what is wrong, what would do."""


@dataclass(frozen=True)
class Message:
    """A message as it stands in a bag."""

    topic: str
    data: bytes
    """CDR."""
    time: int
    """Nanoseconds: when it was recorded."""
    origin: Any
    """What the bag needs to copy it, or to write another under its times."""


class Copy(Protocol):
    """A bag being written."""

    def add_topic(self, topic: str, kind: str, definition: str, digest: str) -> None:
        """A topic more, of a type with its definition and hash."""

    def copy(self, message: Message) -> None:
        """The message as it is."""

    def write(self, topic: str, data: bytes, beside: Message) -> None:
        """A message of an added topic, under the times of another."""


class Bag(Protocol):
    """A bag being read."""

    @property
    def topics(self) -> Mapping[str, str]:
        """Type of each topic, as in sensor_msgs/msg/PointCloud2."""

    def messages(self, topic: str | None = None) -> Iterator[Message]:
        """Gives the messages of one topic or of all, by time."""

    def copying(self, path: Path, compression: str | None = None) -> AbstractContextManager[Copy]:
        """Context of a `Copy` that holds nothing yet and is at `path`, whole, once the block succeeds.

        compression: one of COMPRESSIONS; None: as this bag is compressed.
        """


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever reading raises: the bag is at fault, and is named."""
    try:
        yield
    except (BagError, GeneratorExit):
        raise
    except Exception as error:  # parsers of untrusted bytes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        hint = "; `mcap recover` saves what is whole" if path.suffix == ".mcap" else ""
        raise BagError(f"{path}: not a bag, cut off or damaged ({reason}){hint}") from error
