# SPDX-License-Identifier: Apache-2.0
"""Serialized clouds read in place are what rclpy makes of them."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sphmask_core.messages.pointcloud2 import read_cloud_message
from sphmask_ros.serialized import read_serialized_cloud
from test.helpers.ros import SCENE, header, scene_message

NAMES = ("", "x", "rgb")
FIELDS = [PointField(name=name, offset=i, datatype=i % 8 + 1, count=i) for i, name in enumerate(NAMES)]
OTHERS = ("header", "height", "width", "fields", "is_bigendian", "point_step", "row_step", "is_dense")
CLOUDS = {
    "a scene": scene_message(7),
    "nothing": PointCloud2(),
    "odd sizes": PointCloud2(
        header=Header(frame_id="å", stamp=header(-5).stamp),
        height=3,
        width=2**32 - 1,
        fields=FIELDS,
        is_bigendian=True,
        point_step=5,
        row_step=77,
        data=bytes(range(7)),
        is_dense=True,
    ),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_every_field_is_read(name):
    sent = CLOUDS[name]
    read = read_serialized_cloud(serialize_message(sent))
    for field in OTHERS:
        assert getattr(read, field) == getattr(sent, field), field
    assert bytes(read.data) == bytes(sent.data)


def test_points_are_not_copied():
    message = serialize_message(scene_message())
    read = read_serialized_cloud(message)
    assert read.data.obj is message
    np.testing.assert_array_equal(read_cloud_message(read).xyz, SCENE.xyz)


def test_big_endian_messages_are_read():
    message = bytearray(b"\0\0\0\0" + b"\xff\xff\xff\xfb" + b"\0\0\0\x02" + b"\0\0\0\x02a\0\0\0")
    message += b"\0\0\0\x01" * 2 + b"\0\0\0\0" + b"\x01\0\0\0" + b"\0\0\0\x03" * 3 + b"abc" + b"\x01"
    read = read_serialized_cloud(bytes(message))
    assert (read.header.stamp.sec, read.header.stamp.nanosec, read.header.frame_id) == (-5, 2, "a")
    assert (read.height, read.width, read.point_step, read.row_step) == (1, 1, 3, 3)
    assert bytes(read.data) == b"abc" and read.is_bigendian and read.is_dense


def test_messages_that_end_early_are_refused():
    message = serialize_message(CLOUDS["odd sizes"])
    whole = len(message.rstrip(b"\0"))
    for length in range(4, whole - 1):
        with pytest.raises(ValueError, match="PointCloud2"):
            read_serialized_cloud(message[:length])


def test_a_million_fields_are_not_read():
    message = bytearray(serialize_message(PointCloud2(height=1, width=1)))
    count = message.index(b"\1\0\0\0" * 2) + 8
    message[count : count + 4] = (10**6).to_bytes(4, "little")
    with pytest.raises(ValueError, match="1000000 fields"):
        read_serialized_cloud(bytes(message) + bytes(20 * 10**6))
