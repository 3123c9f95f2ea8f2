# SPDX-License-Identifier: Apache-2.0
"""What every kind of bag can do: give its messages by time, and be copied with topics added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sphmask_core.runtime.wording import one_line

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
    """The serialized message (CDR)."""
    time: int
    """When the message was recorded, nanoseconds."""
    origin: Any
    """What the bag needs to copy it, or to write another under its times."""


class Copy(Protocol):
    """A bag that is being written."""

    def add_topic(self, topic: str, kind: str, definition: str, digest: str) -> None:
        """Add a topic of a type, with the definition and the hash of that type."""

    def copy(self, message: Message) -> None:
        """Write a message as it is."""

    def write(self, topic: str, data: bytes, beside: Message) -> None:
        """Write a message of an added topic under the times of another message."""


class Bag(Protocol):
    """A bag being read."""

    @property
    def topics(self) -> Mapping[str, str]:
        """Returns the type of each topic, such as sensor_msgs/msg/PointCloud2."""

    def messages(self, topic: str | None = None) -> Iterator[Message]:
        """Gives the messages of one topic or of all, by time."""

    def copying(self, path: Path, compression: str | None = None) -> AbstractContextManager[Copy]:
        """Returns the context of a `Copy` that holds nothing yet and is at `path`, whole, once the block
        succeeds.

        compression: one of COMPRESSIONS; None: as this bag is compressed.
        """


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Names the bag in whatever reading it raises."""
    try:
        yield
    except (BagError, GeneratorExit):
        raise
    except Exception as error:  # parsers of untrusted bytes
        reason = one_line(error)
        hint = "; `mcap recover` saves what is whole" if path.suffix == ".mcap" else ""
        raise BagError(f"{path}: not a bag, cut off or damaged ({reason}){hint}") from error
