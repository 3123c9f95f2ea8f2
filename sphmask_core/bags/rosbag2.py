# SPDX-License-Identifier: Apache-2.0
"""Bags in folders of .db3 files, as rosbag2 writes them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rosbags.interfaces import ConnectionExtRosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from sphmask_core.bags.bag import NONE, ZSTD, BagError, Message
from sphmask_core.runtime.files import replacing_folder

UNKNOWN_HASH = "RIHS01_" + 64 * "0"
"""Hash of a type whose definition neither the bag nor we have."""
PORTABLE: Final = 8
"""Version of rosbag2's metadata.yaml that every supported ROS 2 reads."""
MODES = {ZSTD: CompressionMode.MESSAGE, NONE: CompressionMode.NONE}
"""How a compression is done that is asked for: by message, so that a bag can be played without unpacking."""


class Rosbag2:
    """Reads a folder of .db3 files, or one of them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def topics(self) -> dict[str, str]:
        """Returns the type of each topic."""
        return {connection.topic: connection.msgtype for connection in self._reader.connections}

    def messages(self, topic: str | None = None) -> Iterator[Message]:
        """Gives the messages of a topic, or of all, by time of recording, the only one that is kept."""
        wanted = [entry for entry in self._reader.connections if topic in (None, entry.topic)]
        for connection, time, data in self._reader.messages(wanted):
            yield Message(connection.topic, data, time, (connection, time))

    @contextmanager
    def copying(self, path: Path, compression: str | None = None) -> Iterator[Rosbag2Copy]:
        """Makes a new folder for the copy."""
        if path.suffix == ".mcap":
            raise BagError(f"{path}: the bag is no MCAP file but rosbag2's .db3; give the name of a folder")
        if path.exists():
            raise BagError(f"{path}: exists already; give the name of a new folder")
        own = CompressionMode[(self._reader.compression_mode or NONE).upper()]
        with _written(path), replacing_folder(path) as partial:
            writer = Writer(partial, version=PORTABLE, storage_plugin=StoragePlugin.SQLITE3)
            writer.set_compression(MODES[compression] if compression else own, CompressionFormat.ZSTD)
            with writer:
                yield Rosbag2Copy(writer, self._reader)


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Names the bag that SQLite cannot write, on a full disk, say."""
    try:
        yield
    except sqlite3.Error as error:
        raise BagError(f"{path}: cannot be written ({error}); is there space on the disk?") from error


class Rosbag2Copy:
    """Keeps the time of every message."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._added: dict[str, Any] = {}
        self._copied = {
            connection.id: writer.add_connection(
                connection.topic,
                connection.msgtype,
                msgdef=connection.msgdef.data,
                rihs01=connection.digest or UNKNOWN_HASH,
                offered_qos_profiles=connection.ext.offered_qos_profiles,
            )
            for connection in reader.connections
            if isinstance(connection.ext, ConnectionExtRosbag2)
        }

    def add_topic(self, topic: str, kind: str, definition: str, digest: str) -> None:
        """Add a connection for the topic."""
        self._added[topic] = self._writer.add_connection(topic, kind, msgdef=definition, rihs01=digest)

    def copy(self, message: Message) -> None:
        """Write the message as it is, under its own time."""
        connection, time = message.origin
        self._writer.write(self._copied[connection.id], time, message.data)

    def write(self, topic: str, data: bytes, beside: Message) -> None:
        """Write a message under the time of another."""
        self._writer.write(self._added[topic], beside.origin[1], data)
