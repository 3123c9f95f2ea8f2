# SPDX-License-Identifier: Apache-2.0
import dataclasses
import struct
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.messages.pointcloud2 import (
    DATATYPES,
    cloud_points,
    read_cloud_message,
    read_labels,
    read_points,
)
from sphmask_core.tracking import Tracks
from sphmask_ros.conversions import label_image, labelled_points, labels_only, write_points

CODES = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 8: "d"}
HEADER = Header(frame_id="camera")


@st.composite
def layouts(draw):
    """Messages without data: fields in any order with gaps, padded points and rows, either byte order."""
    names = draw(st.permutations(["x", "y", "z", *draw(st.sets(st.sampled_from(["i", "ring", "t"])))]))
    fields, offset = [], 0
    for name in names:
        offset += draw(st.integers(0, 5))
        datatype = draw(st.sampled_from([7, 8] if name in "xyz" else sorted(DATATYPES)))
        count = 1 if name in "xyz" else draw(st.integers(1, 3))
        fields.append(PointField(name=name, offset=offset, datatype=datatype, count=count))
        offset += count * struct.calcsize(CODES[datatype])
    height, width = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    point_step = offset + draw(st.integers(0, 7))
    row_step = width * point_step + draw(st.integers(0, 9))
    big = draw(st.booleans())
    return PointCloud2(
        height=height, width=width, fields=fields, point_step=point_step, row_step=row_step, is_bigendian=big
    )


@given(layouts(), st.integers(0, 2**32 - 1))
def test_reads_any_layout(msg, seed):
    rng = np.random.default_rng(seed)
    data = bytearray(rng.bytes(msg.row_step * msg.height))
    order = ">" if msg.is_bigendian else "<"
    values = {}
    for field in msg.fields:
        code = CODES[field.datatype]
        numbers = rng.integers(0, 100, (msg.height, msg.width, field.count)).tolist()
        values[field.name] = np.array(numbers)
        for v in range(msg.height):
            for u in range(msg.width):
                at = v * msg.row_step + u * msg.point_step + field.offset
                struct.pack_into(f"{order}{field.count}{code}", data, at, *numbers[v][u])
    msg.data = bytes(data)
    points = read_points(msg, [field.name for field in msg.fields])
    for name, expected in values.items():
        np.testing.assert_array_equal(points[name].reshape(expected.shape), expected)
    cloud = read_cloud_message(msg)
    assert cloud.shape == (msg.height, msg.width)
    np.testing.assert_array_equal(cloud.xyz, np.concatenate([values[a] for a in "xyz"], 2).reshape(-1, 3))


def test_reads_without_a_copy():
    msg = write_points(HEADER, cloud_points(Cloud(np.ones((6, 3), np.float32), None, None, (2, 3))))
    points = read_points(msg, "xyz")
    msg.data[0:4] = type(msg.data)("B", struct.pack("<f", 5.0))
    assert points["x"][0, 0] == 5.0


@st.composite
def broken_messages(draw):
    """Messages whose parts need not fit each other."""
    small = st.integers(0, 40)
    field = st.builds(
        PointField,
        name=st.sampled_from(["x", "y", "z", "rgb", "r", "g", "b", "", "label"]),
        offset=small,
        datatype=st.integers(0, 9),
        count=st.integers(0, 3),
    )
    usual = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
    msg = PointCloud2(
        height=draw(st.integers(0, 4)),
        width=draw(st.integers(0, 4)),
        fields=draw(st.sampled_from([[], usual])) + draw(st.lists(field, max_size=4)),
        is_bigendian=draw(st.booleans()),
        point_step=draw(small),
        row_step=draw(st.integers(0, 200)),
    )
    msg.data = draw(st.binary(max_size=300))
    return msg


@settings(max_examples=200, deadline=None)
@given(broken_messages())
def test_broken_messages_are_clouds_or_one_clear_line(msg):
    try:
        cloud = read_cloud_message(msg)
    except CloudError as error:
        assert 0 < len(str(error)) < 300
        assert "\n" not in str(error)
        return
    assert len(cloud.xyz) == msg.height * msg.width > 0
    assert np.isfinite(cloud.xyz).all(1).any()
    assert cloud.rgb is None or cloud.rgb.shape == cloud.xyz.shape


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1), st.booleans())
def test_clouds_come_back_as_they_were(height, width, seed, colored):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(height * width, 3)).astype(np.float32)
    xyz[rng.random(len(xyz)) < 0.3] = np.nan
    assume(np.isfinite(xyz).any())
    rgb = rng.integers(0, 256, xyz.shape, dtype=np.uint8) if colored else None
    msg = write_points(HEADER, cloud_points(Cloud(xyz, rgb, None, (height, width))))
    back = read_cloud_message(msg)
    np.testing.assert_array_equal(back.xyz, xyz)
    assert back.shape == (height, width)
    assert msg.is_dense == np.isfinite(xyz).all()
    assert (back.rgb is None) == (rgb is None)
    if rgb is not None:
        np.testing.assert_array_equal(back.rgb, rgb)


@pytest.mark.parametrize("datatype", [PointField.FLOAT32, PointField.UINT32, PointField.INT32])
@pytest.mark.parametrize("order", "<>")
def test_reads_packed_colors(datatype, order):
    fields = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
    fields.append(PointField(name="rgb", offset=12, datatype=datatype, count=1))
    msg = PointCloud2(height=1, width=1, fields=fields, point_step=16, is_bigendian=order == ">")
    msg.data = struct.pack(f"{order}3fI", 1, 2, 3, 0xFF102030)
    assert read_cloud_message(msg).rgb.tolist() == [[0x10, 0x20, 0x30]]


def test_points_without_a_finite_position_are_nan():
    xyz = np.array([[1, 2, np.inf], [1, np.nan, 2], [1, 2, 3]], np.float32)
    back = read_cloud_message(write_points(HEADER, cloud_points(Cloud(xyz, None, None, (1, 3)))))
    np.testing.assert_array_equal(np.isnan(back.xyz).all(1), [True, True, False])


@pytest.mark.parametrize("colored", [True, False])
def test_labelled_points_tell_the_best_instance_of_each_point(make_instances, colored):
    instances = make_instances(3)
    xyz = np.arange(150, dtype=np.float32).reshape(50, 3)
    rgb = np.full((50, 3), (1, 2, 3), np.uint8) if colored else None
    tracks = dataclasses.replace(Tracks.none(3), ids=np.array([4, 300, 1], np.uint32))
    msg = labelled_points(HEADER, Cloud(xyz, rgb, None, (5, 10)), instances, tracks)
    assert msg.header == HEADER
    points = read_points(msg, ["x", "y", "z", "rgb", "label", "score", "class_id"])
    assert points.shape == (5, 10)
    assert read_labels(msg).tolist() == [[0, 4, 300, 1][label] for label in instances.labels]
    np.testing.assert_array_equal(np.stack([points[axis].ravel() for axis in "xyz"], 1), xyz)
    for field, values, none in (("score", instances.scores, 0), ("class_id", instances.class_ids, -1)):
        expected = np.array([none, *values.tolist()])[instances.labels]
        np.testing.assert_allclose(points[field].ravel(), expected, rtol=1e-6)
    colors = read_cloud_message(msg).rgb
    plain = np.unique(colors[instances.labels == 0], axis=0)
    assert plain.tolist() == [[1, 2, 3] if colored else [128] * 3]
    assert len({tuple(color) for color in colors}) == 4


@pytest.mark.parametrize("shape", [(5, 10), (1, 50), (0, 0)])
def test_lean_labels_are_those_of_the_labelled_points(shape):
    ids = np.random.default_rng(0).choice([0, 1, 4, 65_535], shape).astype(np.uint32)
    image = label_image(HEADER, ids)
    assert image.header == HEADER
    assert (image.encoding, image.is_bigendian, image.step) == ("16UC1", 0, 2 * shape[1])
    np.testing.assert_array_equal(np.frombuffer(image.data, "<u2").reshape(shape), ids)
    msg = labels_only(HEADER, ids)
    assert (msg.height, msg.width, [field.name for field in msg.fields]) == (*shape, ["label"])
    np.testing.assert_array_equal(read_labels(msg), ids.reshape(-1))


def test_ids_too_large_for_a_pixel_begin_again_at_one():
    image = label_image(HEADER, np.array([[0, 65_535, 65_536, 65_537, 131_071]], np.uint32))
    assert np.frombuffer(image.data, "<u2").tolist() == [0, 65_535, 1, 2, 1]


def test_large_clouds_convert_at_the_speed_of_memory():
    points = np.zeros((1, 2_500_000), [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    start = time.perf_counter()
    msg = write_points(HEADER, points)
    assert read_points(msg, "xyz").shape == points.shape
    assert time.perf_counter() - start < 1.0  # byte by byte it takes several


@pytest.mark.parametrize("kind", ["<f4", "<f8", ">f4"])
@pytest.mark.parametrize("color", ["rgb", "rgba", "red", ""])
def test_in_one_pass_and_in_several_the_same_is_read(kind, color):
    """Rows with gaps, points that are nowhere, colors in one field or in three."""
    order = kind[0]
    kinds = {"red": [(name, "u1") for name in ("r", "g", "b")], "": []}
    columns = [("t", "u1"), *((axis, kind) for axis in "xyz"), *kinds.get(color, [(color, f"{order}u4")])]
    rows = np.zeros((2, 4), columns)
    xyz = np.random.default_rng(0).normal(size=(2, 3, 3)).astype(np.float32)
    xyz[0, 1], xyz[1, 2], xyz[1, 0] = (np.inf, 1, 2), 0, (0, 0, 3)
    for i, axis in enumerate("xyz"):
        rows[axis][:, :3] = xyz[..., i]
    if color in ("rgb", "rgba"):
        rows[color] = 0x7F102030
    for name, value in zip("rgb", (0x10, 0x20, 0x30), strict=True):
        if color == "red":
            rows[name] = value
    datatypes = {np.dtype(f"{order}{name}"): number for number, name in DATATYPES.items()}
    fields = [
        PointField(name=name, offset=offset, datatype=datatypes[column], count=1)
        for name, (column, offset) in rows.dtype.fields.items()
    ]
    step = rows.dtype.itemsize
    msg = PointCloud2(height=2, width=3, fields=fields, point_step=step, row_step=4 * step)
    msg.is_bigendian, msg.data = order == ">", rows.tobytes()
    cloud = read_cloud_message(msg)
    xyz[0, 1] = xyz[1, 2] = np.nan
    np.testing.assert_array_equal(cloud.xyz, xyz.reshape(-1, 3))
    assert (cloud.rgb is None) == (not color)
    assert cloud.rgb is None or cloud.rgb.tolist() == [[0x10, 0x20, 0x30]] * 6
