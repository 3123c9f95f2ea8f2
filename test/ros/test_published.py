# SPDX-License-Identifier: Apache-2.0
"""What is published as bytes is what rclpy makes of the message."""

import copy

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image, PointCloud2, PointField

from sphmask_ros.published import serialize_with
from test.helpers.ros import header

FIELDS = [PointField(name="å", offset=3, datatype=7, count=1)]
MADE = [
    PointCloud2(header=header(2), height=3, fields=FIELDS, is_bigendian=True, is_dense=True),
    PointCloud2(),
    Image(header=header(3), encoding="16UC1", step=9),
]


@pytest.mark.parametrize("count", [0, 1, 6, 100_000])
@pytest.mark.parametrize("made", MADE, ids=["cloud", "empty cloud", "image"])
def test_is_as_rclpy_serializes_it(made, count):
    """But for the bytes between fields, which rclpy leaves as they were in memory."""
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8)
    sent, expected = copy.deepcopy(made), copy.deepcopy(made)
    expected.data = data.tobytes()
    serialized = serialize_with(sent, data.data)
    assert len(serialized) == len(serialize_message(expected))
    assert deserialize_message(serialized, type(made)) == expected
