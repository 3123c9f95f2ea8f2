# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 as it comes over the network, read in place.

rclpy copies a message three times before a callback sees it, on the executor's thread: a second for 20
million points, in which no service answers. Here the few numbers before the points are read, and the points
stay where they are until the worker wants them; clouds that are dropped are never touched.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

PLAIN_CDR = {b"\x00\x00": ">", b"\x00\x01": "<"}
"""Byte order by representation identifier (DDS-XTypes 1.3, 7.6.3.1.2): what ROS 2 sends messages as."""
ENCAPSULATION = 4
"""Bytes of that identifier and of options, from whose end on fields are aligned."""
MOST_FIELDS = 256
"""Of a point; lidars have a dozen. A message that announces millions would be read for minutes."""


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


def read_serialized_cloud(message: bytes) -> SerializedCloud | PointCloud2:
    """The fields of a serialized PointCloud2. Raises ValueError where the bytes end early or are no such
    message."""
    if message[:2] not in PLAIN_CDR:
        return deserialize_message(message, PointCloud2)
    try:
        return _read(_Reader(message))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{len(message)} bytes are no PointCloud2: {error}") from None


def _read(reader: _Reader) -> SerializedCloud:
    stamp = Time(sec=reader.number("i"), nanosec=reader.number("I"))
    header = Header(stamp=stamp, frame_id=reader.text())
    height, width, count = (reader.number("I") for _ in range(3))
    if count > MOST_FIELDS:
        raise ValueError(f"a PointCloud2 whose points have {count} fields")
    fields = [_field(reader) for _ in range(count)]
    is_bigendian = bool(reader.number("B"))
    point_step, row_step = reader.number("I"), reader.number("I")
    data = reader.take(reader.number("I"))
    is_dense = bool(reader.number("B"))
    return SerializedCloud(header, height, width, fields, is_bigendian, point_step, row_step, data, is_dense)


def _field(reader: _Reader) -> PointField:
    name, offset = reader.text(), reader.number("I")
    return PointField(name=name, offset=offset, datatype=reader.number("B"), count=reader.number("I"))


class _Reader:
    """Takes values from the front; numbers are aligned to their size."""

    def __init__(self, message: bytes) -> None:
        self._order = PLAIN_CDR[message[:2]]
        self._left = memoryview(message)[ENCAPSULATION:]
        self._place = 0

    def number(self, kind: str) -> int:
        """An integer, by its letter of the module struct."""
        size = struct.calcsize(kind)
        self._place += -self._place % size
        (value,) = struct.unpack_from(self._order + kind, self._left, self._place)
        self._place += size
        return int(value)

    def take(self, count: int) -> memoryview:
        """So many bytes. Raises ValueError where there are fewer."""
        taken = self._left[self._place : self._place + count]
        if len(taken) < count:
            raise ValueError(f"a PointCloud2 that ends {count - len(taken)} bytes early")
        self._place += count
        return taken

    def text(self) -> str:
        """A string, which ends with a zero byte."""
        return bytes(self.take(self.number("I"))).rstrip(b"\0").decode()
