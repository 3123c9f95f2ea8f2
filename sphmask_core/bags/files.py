# SPDX-License-Identifier: Apache-2.0
"""Bags on disk: MCAP files, by the library `mcap`, and rosbag2's .db3 folders, by `rosbags`.

Both are read in the order of time and copied with topics added: what was in them stays byte for byte.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import mcap.reader
import mcap.writer
import yaml
from mcap.records import Message as McapMessage
from mcap.summary import Summary
from rosbags.interfaces import ConnectionExtRosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from sphmask_core.bags.kinds import METADATA
from sphmask_core.runtime.files import replacing, replacing_folder

RECORDER = "rosbag2"
"""Name of the recorder's own metadata in an MCAP file, which lists topics and counts as they were."""
UNKNOWN_HASH = "RIHS01_" + 64 * "0"
"""Hash of a type whose definition neither the bag nor we have."""
PORTABLE: Final = 8
"""Version of rosbag2's metadata.yaml that every supported ROS 2 reads."""


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

    def copying(self, path: Path) -> AbstractContextManager[Copy]:
        """Context of a `Copy` that holds nothing yet and is at `path`, whole, once the block succeeds."""


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """An MCAP file, a folder that rosbag2 recorded, or a .db3 file of one."""
    if not path.exists():
        raise BagError(f"{path}: no such file or folder")
    with ExitStack() as stack:
        with naming(path):
            files = _mcap_files(path)
            bag: Bag = McapBag(files, stack) if files else Rosbag2(stack.enter_context(Reader(path)))
        yield bag


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


def _mcap_files(path: Path) -> list[Path]:
    """Returns the MCAP files of a bag; none for one in .db3 files."""
    if path.is_file():
        return [path] if path.suffix == ".mcap" else []
    metadata = path / METADATA
    if not metadata.is_file():
        raise BagError(f"{path}: no bag: a folder without {METADATA}")
    facts = yaml.safe_load(metadata.read_text())["rosbag2_bagfile_information"]
    if facts["storage_identifier"] != "mcap":
        return []
    return [path / Path(name).name for name in facts["relative_file_paths"]]


class McapBag:
    """One MCAP file, or those of a recording one after the other."""

    def __init__(self, files: list[Path], stack: ExitStack) -> None:
        self._readers = [
            mcap.reader.SeekingReader(stack.enter_context(file.open("rb")), validate_crcs=True)
            for file in files
        ]
        self.summaries = [_summary(reader) for reader in self._readers]

    @property
    def topics(self) -> dict[str, str]:
        """The type of each topic; for messages that are not ROS 2's, the name of their schema."""
        return {
            channel.topic: _type(summary, channel.schema_id)
            for summary in self.summaries
            for channel in summary.channels.values()
        }

    def messages(self, topic: str | None = None) -> Iterator[Message]:
        """Gives the messages of a topic, or of all, by log time."""
        for number, reader in enumerate(self._readers):
            for _, channel, message in reader.iter_messages(topic):
                yield Message(channel.topic, message.data, message.log_time, (number, message))

    @contextmanager
    def copying(self, path: Path) -> Iterator[McapCopy]:
        """A new MCAP file, compressed as this one is."""
        if path.suffix != ".mcap":
            raise BagError(f"{path}: the bag is MCAP; give a name that ends with .mcap")
        with replacing(path) as partial, partial.open("wb") as file:
            used = {index.compression for summary in self.summaries for index in summary.chunk_indexes}
            method = "zstd" if "zstd" in used else "lz4" if "lz4" in used else "none"
            writer = mcap.writer.Writer(file, compression=mcap.writer.CompressionType[method.upper()])
            writer.start(profile=self._readers[0].get_header().profile)
            for reader in self._readers:
                _copy_extras(reader, writer)
            yield McapCopy(writer, self.summaries)
            writer.finish()


def _type(summary: Summary, schema: int) -> str:
    """The name of a schema; a channel may have none, and in a damaged file one that is missing."""
    return summary.schemas[schema].name if schema in summary.schemas else "no type"


def _summary(reader: mcap.reader.SeekingReader) -> Summary:
    summary = reader.get_summary()
    if summary is None:
        raise ValueError("it has no index")
    return summary


def _copy_extras(reader: mcap.reader.SeekingReader, writer: mcap.writer.Writer) -> None:
    for file in reader.iter_attachments():
        writer.add_attachment(file.create_time, file.log_time, file.name, file.media_type, file.data)
    for record in reader.iter_metadata():
        if record.name != RECORDER:
            writer.add_metadata(record.name, record.metadata)


class McapCopy:
    """Keeps both times and the number of every message."""

    def __init__(self, writer: mcap.writer.Writer, summaries: list[Summary]) -> None:
        self._writer = writer
        self._schemas: dict[tuple[str, str, bytes], int] = {}
        self._channels: dict[Any, int] = {}
        for number, summary in enumerate(summaries):
            for channel in summary.channels.values():
                schema = summary.schemas.get(channel.schema_id)
                schema_id = self._schema(schema.name, schema.encoding, schema.data) if schema else 0
                self._channels[number, channel.id] = writer.register_channel(
                    channel.topic, channel.message_encoding, schema_id, channel.metadata
                )

    def _schema(self, name: str, encoding: str, data: bytes) -> int:
        key = (name, encoding, data)
        if key not in self._schemas:
            self._schemas[key] = self._writer.register_schema(*key)
        return self._schemas[key]

    def add_topic(self, topic: str, kind: str, definition: str, digest: str) -> None:
        """Add a channel with a schema, as rosbag2 writes them."""
        facts = {"offered_qos_profiles": "", "topic_type_hash": digest}
        schema = self._schema(kind, "ros2msg", definition.encode())
        self._channels[topic] = self._writer.register_channel(topic, "cdr", schema, facts)

    def copy(self, message: Message) -> None:
        """Write the message as it is, under its own times and number."""
        number, record = message.origin
        self._add(self._channels[number, record.channel_id], record.data, record)

    def write(self, topic: str, data: bytes, beside: Message) -> None:
        """Write a message under both times and the number of another."""
        self._add(self._channels[topic], data, beside.origin[1])

    def _add(self, channel: int, data: bytes, record: McapMessage) -> None:
        self._writer.add_message(channel, record.log_time, data, record.publish_time, record.sequence)


class Rosbag2:
    """A folder of .db3 files, or one of them."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    @property
    def topics(self) -> dict[str, str]:
        """Type of each topic."""
        return {connection.topic: connection.msgtype for connection in self._reader.connections}

    def messages(self, topic: str | None = None) -> Iterator[Message]:
        """Gives the messages of a topic, or of all, by time of recording, the only one that is kept."""
        wanted = [entry for entry in self._reader.connections if topic in (None, entry.topic)]
        for connection, time, data in self._reader.messages(wanted):
            yield Message(connection.topic, data, time, (connection, time))

    @contextmanager
    def copying(self, path: Path) -> Iterator[Rosbag2Copy]:
        """A new folder, compressed as this one is."""
        if path.suffix == ".mcap":
            raise BagError(f"{path}: the bag is no MCAP file but rosbag2's .db3; give the name of a folder")
        if path.exists():
            raise BagError(f"{path}: exists already; give the name of a new folder")
        with _written(path), replacing_folder(path) as partial:
            writer = Writer(partial, version=PORTABLE, storage_plugin=StoragePlugin.SQLITE3)
            mode = CompressionMode[(self._reader.compression_mode or "none").upper()]
            writer.set_compression(mode, CompressionFormat.ZSTD)
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
