# SPDX-License-Identifier: Apache-2.0
"""Clouds and images as a publisher takes them, in bytes.

rclpy copies what is in a message three times before DDS has it, 26 MB for the labeled points of a depth
image. Here it is copied once.
"""

from __future__ import annotations

import struct

from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, PointCloud2

from sphmask_ros.serialized import PLAIN_CDR

MARK = bytes(range(200, 216))
"""Stands for the data of a message that is serialized without them."""
COUNT_BYTES = 4
"""Bytes of the number of elements that stands before a sequence of them."""


def serialize_with(message: PointCloud2 | Image, data: memoryview) -> bytes:
    """Returns a message, whose field `data` is empty, as it is serialized with these bytes in that field."""
    message.data = MARK
    before, _, after = serialize_message(message).rpartition(MARK)
    count = struct.pack(PLAIN_CDR[before[:2]] + "I", len(data))
    return b"".join([before[:-COUNT_BYTES], count, data, after])
