# SPDX-License-Identifier: Apache-2.0
"""Serialized clouds and images read in place are what rclpy makes of them."""

import random
from contextlib import suppress

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from sphmask_core.messages.pointcloud2 import read_cloud_message
from sphmask_ros.serialized import MOST_OTHER, MOST_TEXT, read_serialized
from test.helpers.ros import SCENE, header, scene_message
from test.hostile.mutations import mutated

NAMES = ("", "x", "rgb")
FIELDS = [PointField(name=name, offset=i, datatype=i % 8 + 1, count=i) for i, name in enumerate(NAMES)]
MESSAGES = {
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
    "an image": Image(
        header=header(3), height=2, width=2**31, encoding="16UC1", is_bigendian=1, step=5, data=b"abcde"
    ),
    "no image": Image(),
    "a compressed image": CompressedImage(header=header(3), format="png; å", data=bytes(range(9))),
    "camera_info": CameraInfo(header=header(3), height=2, width=3, k=np.arange(9.0), d=[1.0, 2.0]),
}


def read(kind, message):
    return read_serialized(kind, memoryview(message))


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_is_read(name):
    sent = MESSAGES[name]
    made = read(type(sent), serialize_message(sent))
    for field in sent.get_fields_and_field_types():
        value, expected = (getattr(message, field) for message in (made, sent))
        if field in ("data", "k", "d", "r", "p"):
            value, expected = bytes(value), bytes(expected)
        assert value == expected, field


def test_points_and_pixels_are_not_copied():
    for sent in (scene_message(), MESSAGES["an image"], MESSAGES["a compressed image"]):
        message = serialize_message(sent)
        assert read(type(sent), message).data.obj is message
    cloud = read(PointCloud2, serialize_message(scene_message()))
    np.testing.assert_array_equal(read_cloud_message(cloud).xyz, SCENE.xyz)


def test_big_endian_messages_are_read():
    message = bytearray(b"\0\0\0\0" + b"\xff\xff\xff\xfb" + b"\0\0\0\x02" + b"\0\0\0\x02a\0\0\0")
    message += b"\0\0\0\x01" * 2 + b"\0\0\0\0" + b"\x01\0\0\0" + b"\0\0\0\x03" * 3 + b"abc" + b"\x01"
    made = read(PointCloud2, message)
    assert (made.header.stamp.sec, made.header.stamp.nanosec, made.header.frame_id) == (-5, 2, "a")
    assert (made.height, made.width, made.point_step, made.row_step) == (1, 1, 3, 3)
    assert bytes(made.data) == b"abc" and made.is_bigendian and made.is_dense


@pytest.mark.parametrize("name", ["odd sizes", "an image", "a compressed image"])
def test_messages_that_end_early_are_refused(name):
    kind, message = type(MESSAGES[name]), serialize_message(MESSAGES[name])
    whole = len(message.rstrip(b"\0"))
    for length in range(4, whole - 1):
        with pytest.raises(ValueError, match=f"{length} bytes are no {kind.__name__}: "):
            read(kind, message[:length])


@pytest.mark.parametrize("name", MESSAGES)
def test_damaged_messages_are_read_or_refused(name):
    """What can be read is no cloud, or one; the node tells of both, and of what rclpy cannot read."""
    kind, draw = type(MESSAGES[name]), random.Random(0)
    message, read_any = bytes(serialize_message(MESSAGES[name])), 0
    for _ in range(100):
        with suppress(ValueError, _rclpy.RMWError):
            made = read(kind, mutated(message, draw))
            read_any += 1
            if kind is PointCloud2:
                read_cloud_message(made)
    assert 0 < read_any < 100


def test_a_million_fields_are_not_read():
    message = bytearray(serialize_message(PointCloud2(height=1, width=1)))
    count = message.index(b"\1\0\0\0" * 2) + 8
    message[count : count + 4] = (10**6).to_bytes(4, "little")
    with pytest.raises(ValueError, match="1000000 fields"):
        read(PointCloud2, bytes(message) + bytes(20 * 10**6))


def test_long_names_and_other_long_messages_are_not_read():
    with pytest.raises(ValueError, match=f"a name of {MOST_TEXT + 2} bytes"):
        read(Image, serialize_message(Image(encoding="a" * (MOST_TEXT + 1))))
    with pytest.raises(ValueError, match=r"a CameraInfo of [0-9]{7} bytes"):
        read(CameraInfo, serialize_message(CameraInfo(d=np.zeros(MOST_OTHER // 8))))
