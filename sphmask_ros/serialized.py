# SPDX-License-Identifier: Apache-2.0
"""Clouds and images as they come over the network, read in place.

The few numbers before the points or pixels are read on the executor's thread, and the points stay where they
are until the worker wants them: clouds that are dropped are never touched.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

PLAIN_CDR = {b"\x00\x00": ">", b"\x00\x01": "<"}
"""Byte order by representation identifier (DDS-XTypes 1.3, 7.6.3.1.2): what ROS 2 sends messages as."""
ENCAPSULATION = 4
"""Bytes of that identifier and of options, from whose end on fields are aligned."""
MOST_FIELDS = 256
"""Fields of a point; lidars have a dozen. A message that announces millions would be read for minutes."""
MOST_TEXT = 4096
"""Bytes of a name."""
MOST_OTHER = 2**20
"""Bytes of a message of another type, a CameraInfo, which rclpy reads: it has less than a thousand."""


@dataclass(frozen=True)
class SerializedCloud:
    """The fields of a sensor_msgs/PointCloud2; `data` is a view of the bytes that came."""

    header: Header
    height: int
    width: int
    fields: list[PointField]
    is_bigendian: bool
    point_step: int
    row_step: int
    data: memoryview
    is_dense: bool


@dataclass(frozen=True)
class SerializedImage:
    """The fields of a sensor_msgs/Image; `data` is a view of the bytes that came."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


@dataclass(frozen=True)
class SerializedCompressedImage:
    """The fields of a sensor_msgs/CompressedImage; `data` is a view of the bytes that came."""

    header: Header
    format: str
    data: memoryview


def read_serialized(kind: type, message: memoryview) -> Any:
    """Returns the fields of a serialized message of that type; clouds and images are views of it.

    Raises ValueError where the bytes end early or are no such message.
    """
    readers = {PointCloud2: _cloud, Image: _image, CompressedImage: _compressed_image}
    if kind in readers and bytes(message[:2]) in PLAIN_CDR:
        try:
            return readers[kind](_Reader(message))
        except (struct.error, ValueError) as error:  # of Unicode, too
            raise ValueError(f"{len(message)} bytes are no {kind.__name__}: {error}") from None
    if kind not in readers and len(message) > MOST_OTHER:
        raise ValueError(f"a {kind.__name__} of {len(message)} bytes")
    return deserialize_message(bytes(message), kind)


def _header(reader: _Reader) -> Header:
    stamp = Time(sec=reader.number("i"), nanosec=reader.number("I"))
    return Header(stamp=stamp, frame_id=reader.text())


def _cloud(reader: _Reader) -> SerializedCloud:
    header = _header(reader)
    height, width, count = (reader.number("I") for _ in range(3))
    if count > MOST_FIELDS:
        raise ValueError(f"its points have {count} fields")
    fields = [_field(reader) for _ in range(count)]
    is_bigendian = bool(reader.number("B"))
    point_step, row_step = reader.number("I"), reader.number("I")
    data = reader.take(reader.number("I"))
    is_dense = bool(reader.number("B"))
    return SerializedCloud(header, height, width, fields, is_bigendian, point_step, row_step, data, is_dense)


def _image(reader: _Reader) -> SerializedImage:
    header = _header(reader)
    height, width, encoding = reader.number("I"), reader.number("I"), reader.text()
    is_bigendian, step = reader.number("B"), reader.number("I")
    return SerializedImage(
        header, height, width, encoding, is_bigendian, step, reader.take(reader.number("I"))
    )


def _compressed_image(reader: _Reader) -> SerializedCompressedImage:
    return SerializedCompressedImage(_header(reader), reader.text(), reader.take(reader.number("I")))


def _field(reader: _Reader) -> PointField:
    name, offset = reader.text(), reader.number("I")
    return PointField(name=name, offset=offset, datatype=reader.number("B"), count=reader.number("I"))


class _Reader:
    """Takes values from the front; numbers are aligned to their size."""

    def __init__(self, message: memoryview) -> None:
        self._order = PLAIN_CDR[bytes(message[:2])]
        self._left = message[ENCAPSULATION:]
        self._place = 0

    def number(self, kind: str) -> int:
        """Reads an integer, by its letter of the module struct."""
        size = struct.calcsize(kind)
        self._place += -self._place % size
        (value,) = struct.unpack_from(self._order + kind, self._left, self._place)
        self._place += size
        return int(value)

    def take(self, count: int) -> memoryview:
        """Takes so many bytes. Raises ValueError where there are fewer."""
        taken = self._left[self._place : self._place + count]
        if len(taken) < count:
            raise ValueError(f"they end {count - len(taken)} bytes early")
        self._place += count
        return taken

    def text(self) -> str:
        """Reads a name, which ends with a zero byte. Raises ValueError where it is longer than MOST_TEXT."""
        size = self.number("I")
        if size > MOST_TEXT:
            raise ValueError(f"a name of {size} bytes")
        return bytes(self.take(size)).rstrip(b"\0").decode()
