# SPDX-License-Identifier: Apache-2.0
"""Bags in MCAP files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import mcap.reader
import mcap.writer
import yaml
from mcap.records import Message as McapMessage
from mcap.summary import Summary

from sphmask_core.bags.bag import NONE, ZSTD, BagError, Message
from sphmask_core.bags.kinds import INFORMATION, METADATA
from sphmask_core.clouds.limits import check_regular
from sphmask_core.runtime.files import replacing, replacing_folder

RECORDER = "rosbag2"
"""Name of the recorder's own metadata in an MCAP file, which lists topics and counts as they were."""
QOS_LISTS = 9
"""Version of metadata.yaml from which a topic's QoS profiles are a list, and no longer a text."""


class McapBag:
    """Reads one MCAP file, or those of a recording one after the other."""

    def __init__(self, files: list[Path], stack: ExitStack, recording: dict[str, Any] | None = None) -> None:
        """Open the files until the stack is closed; recording: what metadata.yaml says of their folder."""
        for file in files:
            check_regular(file)
        self._readers = [
            mcap.reader.SeekingReader(stack.enter_context(file.open("rb")), validate_crcs=True)
            for file in files
        ]
        self._summaries = [_summary(reader) for reader in self._readers]
        self._recording = recording

    @property
    def topics(self) -> dict[str, str]:
        """Returns the type of each topic; for messages that are not ROS 2's, the name of their schema."""
        return {
            channel.topic: _type(summary, channel.schema_id)
            for summary in self._summaries
            for channel in summary.channels.values()
        }

    def messages(self, topic: str | None = None) -> Iterator[Message]:
        """Gives the messages of a topic, or of all, by log time."""
        for number, reader in enumerate(self._readers):
            for _, channel, message in reader.iter_messages(topic):
                yield Message(channel.topic, message.data, message.log_time, (number, message))

    @contextmanager
    def copying(self, path: Path, compression: str | None = None) -> Iterator[McapCopy]:
        """Gives a new MCAP file; of a recording, under a name that is no MCAP file's, a new folder."""
        if path.suffix == ".mcap":
            with replacing(path) as partial, self._written(partial, compression) as copy:
                yield copy
        elif self._recording is None:
            raise BagError(f"{path}: the bag is MCAP; give a name that ends with .mcap")
        else:
            if path.exists():
                raise BagError(f"{path}: exists already; give the name of a new folder")
            with replacing_folder(path) as folder:
                folder.mkdir()
                file = folder / f"{path.name}_0.mcap"
                with self._written(file, compression) as copy:
                    yield copy
                written = _recorded(self._recording, file.name, copy)
                (folder / METADATA).write_text(yaml.safe_dump({INFORMATION: written}, sort_keys=False))

    @contextmanager
    def _written(self, path: Path, compression: str | None) -> Iterator[McapCopy]:
        """Gives an MCAP file at a path, with the attachments and metadata of the bag."""
        with path.open("wb") as file:
            method = mcap.writer.CompressionType[(compression or self._compression()).upper()]
            writer = mcap.writer.Writer(file, compression=method)
            writer.start(profile=self._readers[0].get_header().profile)
            for reader in self._readers:
                _copy_extras(reader, writer)
            yield McapCopy(writer, self._summaries)
            writer.finish()

    def _compression(self) -> str:
        used = {index.compression for summary in self._summaries for index in summary.chunk_indexes}
        return next((method for method in (ZSTD, "lz4") if method in used), NONE)


def _recorded(recording: dict[str, Any], name: str, copy: McapCopy) -> dict[str, Any]:
    """Returns what metadata.yaml says of a recording that was copied into one file of that name."""
    topics = recording["topics_with_message_count"]
    known = {topic["topic_metadata"]["name"]: topic["topic_metadata"] for topic in topics}
    no_profiles: Any = [] if recording["version"] >= QOS_LISTS else ""
    added = {
        topic: {
            "name": topic,
            "type": kind,
            "serialization_format": "cdr",
            "offered_qos_profiles": no_profiles,
            "type_description_hash": digest,
        }
        for topic, (kind, digest) in copy.added.items()
    }
    times = {
        "starting_time": {"nanoseconds_since_epoch": copy.first},
        "duration": {"nanoseconds": copy.last - copy.first},
        "message_count": copy.counts.total(),
    }
    counted = [
        {"topic_metadata": topic, "message_count": copy.counts[name]}
        for name, topic in (known | added).items()
    ]
    return (
        recording
        | times
        | {
            "topics_with_message_count": counted,
            "relative_file_paths": [name],
            "files": [{"path": name} | times],
            "compression_format": "",
            "compression_mode": "",
        }
    )


def _type(summary: Summary, schema: int) -> str:
    """Returns the name of a schema; a channel may have none, and in a damaged file one that is missing."""
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
        self.added: dict[str, tuple[str, str]] = {}
        """Type and hash of each topic that was added."""
        self.counts: Counter[str] = Counter()
        """Messages of each topic."""
        self.first, self.last = 0, 0
        """When the first and the last of them were logged, nanoseconds."""
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
        self.added[topic] = kind, digest
        self._channels[topic] = self._writer.register_channel(topic, "cdr", schema, facts)

    def copy(self, message: Message) -> None:
        """Write the message as it is, under its own times and number."""
        number, record = message.origin
        self._add(message.topic, self._channels[number, record.channel_id], record.data, record)

    def write(self, topic: str, data: bytes, beside: Message) -> None:
        """Write a message under both times and the number of another."""
        self._add(topic, self._channels[topic], data, beside.origin[1])

    def _add(self, topic: str, channel: int, data: bytes, record: McapMessage) -> None:
        self._writer.add_message(channel, record.log_time, data, record.publish_time, record.sequence)
        self.first = min(self.first, record.log_time) if self.counts else record.log_time
        self.last = max(self.last, record.log_time)
        self.counts[topic] += 1
