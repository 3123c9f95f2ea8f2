# SPDX-License-Identifier: Apache-2.0
"""Clouds in the layouts of LiDAR drivers, by the real conversion: the same points from each of them."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra `bags`")
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.pointcloud2 import DATATYPES, read_cloud_message, write_points
from test.helpers.far import UTM

DEFINITIONS = Definitions()
CLOUD = "sensor_msgs/PointCloud2"
NUMBERS = {name: number for number, name in DATATYPES.items()}
LAYOUTS = {
    # field: (type, offset), and bytes a point
    "Ouster OS1, ouster_ros PointXYZIRNRA": (
        {
            "x": ("f4", 0),
            "y": ("f4", 4),
            "z": ("f4", 8),
            "intensity": ("f4", 16),
            "t": ("u4", 20),
            "reflectivity": ("u2", 24),
            "ring": ("u2", 26),
            "ambient": ("u2", 28),
            "range": ("u4", 32),
        },
        48,
    ),
    "Velodyne VLP-16, velodyne_pointcloud PointXYZIRT": (
        {
            "x": ("f4", 0),
            "y": ("f4", 4),
            "z": ("f4", 8),
            "intensity": ("f4", 12),
            "ring": ("u2", 16),
            "time": ("f4", 18),
        },
        22,
    ),
    "Livox Mid-360, livox_ros_driver2 PointXyzrtlt": (
        {
            "x": ("f4", 0),
            "y": ("f4", 4),
            "z": ("f4", 8),
            "intensity": ("f4", 12),
            "tag": ("u1", 16),
            "line": ("u1", 17),
            "timestamp": ("f8", 18),
        },
        26,
    ),
    "Hesai, hesai_ros_driver": (
        {
            "x": ("f4", 0),
            "y": ("f4", 4),
            "z": ("f4", 8),
            "intensity": ("f4", 12),
            "ring": ("u2", 16),
            "timestamp": ("f8", 18),
        },
        26,
    ),
    "PCL PointXYZINormal, as of LIO packages": (
        {
            "x": ("f4", 0),
            "y": ("f4", 4),
            "z": ("f4", 8),
            "normal_x": ("f4", 16),
            "normal_y": ("f4", 20),
            "normal_z": ("f4", 24),
            "intensity": ("f4", 32),
            "curvature": ("f4", 36),
        },
        48,
    ),
    "float64, as of scanners": ({"x": ("f8", 0), "y": ("f8", 8), "z": ("f8", 16), "i": ("u1", 24)}, 25),
}


def message(layout, xyz, shape, big=False, padding=0):
    """A message through its own bytes, CDR, as it comes from a network."""
    fields, step = LAYOUTS[layout]
    order = ">" if big else "<"
    dtype = np.dtype(
        {
            "names": list(fields),
            "formats": [order + kind for kind, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": step,
        }
    )
    points = np.frombuffer(np.random.default_rng(0).bytes(len(xyz) * step), dtype).copy()  # the rest is noise
    for axis, column in zip("xyz", xyz.T, strict=True):
        points[axis] = column
    height, width = shape
    rows = np.pad(points.view(np.uint8).reshape(height, width * step), ((0, 0), (0, padding)))
    sent = DEFINITIONS.make(
        CLOUD,
        height=height,
        width=width,
        fields=[
            DEFINITIONS.make(
                "sensor_msgs/PointField", name=name, offset=offset, datatype=NUMBERS[kind], count=1
            )
            for name, (kind, offset) in fields.items()
        ],
        is_bigendian=big,
        point_step=step,
        row_step=rows.shape[1],
        data=rows.reshape(-1),
    )
    return DEFINITIONS.read(CLOUD, DEFINITIONS.write(CLOUD, sent))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.booleans(),
    st.sampled_from([(1, 64), (16, 4), (4, 16)]),
    st.sampled_from([0, 3, 8]),
    st.integers(0, 99),
)
def test_the_same_points_from_every_layout(layout, big, shape, padding, seed):
    """Those without a return, (0, 0, 0) of Ouster or NaN of others, are without a place."""
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, 20, (64, 3)).astype(np.float32)
    xyz[rng.random(64) < 0.2] = 0
    xyz[rng.random(64) < 0.1, 1] = np.nan
    xyz[0] = 1.5, 0.0, 0.0  # on an axis is a place
    cloud = read_cloud_message(message(layout, xyz, shape, big, padding if shape[0] > 1 else 0))
    nowhere = np.isnan(xyz).any(1) | (xyz == 0).all(1)
    np.testing.assert_array_equal(cloud.xyz, np.where(nowhere[:, None], np.nan, xyz).astype(np.float32))
    assert cloud.rgb is None
    assert cloud.shape == shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_sweep_without_a_return_is_one_clear_line(layout):
    with pytest.raises(CloudError, match=r"none of its 64 points has a finite position but \(0, 0, 0\)"):
        read_cloud_message(message(layout, np.zeros((64, 3), np.float32), (16, 4)))


@pytest.mark.parametrize("count", [2**29 - 1, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("step", [16, 2**32 - 1])
def test_a_field_of_billions_of_values_is_one_clear_line(count, step):
    msg = message(sorted(LAYOUTS)[0], np.ones((64, 3), np.float32), (16, 4))
    msg.fields[0].count, msg.point_step = count, step
    with pytest.raises(CloudError, match=f"beyond point_step {step}|make no point|bytes"):
        read_cloud_message(msg)


def far_message(kind, away):
    """Sixteen rows of four points, some meters around a place far away, and where they are, float64."""
    xyz = np.random.default_rng(0).random((64, 3)) + away
    points = np.rec.fromarrays(xyz.T.astype(kind), names="x,y,z").reshape(16, 4)
    return write_points(DEFINITIONS.make, DEFINITIONS.make("std_msgs/Header"), np.asarray(points)), xyz


def test_a_cloud_that_float32_has_rounded_is_one_clear_line():
    """Clouds of UTM coordinates are other clouds in float32, which has steps of half a meter there."""
    with pytest.raises(CloudError, match=r"lies 5399900 m from the origin .* publish it as float64, in"):
        read_cloud_message(far_message("<f4", UTM)[0])
    msg, xyz = far_message("<f4", np.array([2000.0, -3000.0, 10.0]))
    np.testing.assert_allclose(read_cloud_message(msg).xyz, xyz, atol=2e-4)


@pytest.mark.parametrize("kind", ["<f8", ">f8"])
def test_a_cloud_of_float64_is_read_as_it_is(kind):
    msg, xyz = far_message("<f8", UTM)
    if kind == ">f8":
        msg.is_bigendian, msg.data = True, msg.data.view("<f8").astype(">f8").view(np.uint8)
    read = read_cloud_message(msg).xyz
    assert read.dtype == np.float64
    np.testing.assert_array_equal(read, xyz)


def test_one_field_of_float64_is_enough():
    """As of z alone: what is float32 is what it is."""
    _, xyz = far_message("<f8", UTM)
    points = np.empty((1, 64), [("x", "<f4"), ("y", "<f8"), ("z", "<f4")])
    for axis, column in zip("xyz", xyz.T, strict=True):
        points[axis] = column
    msg = write_points(DEFINITIONS.make, DEFINITIONS.make("std_msgs/Header"), points)
    read = read_cloud_message(msg).xyz
    np.testing.assert_array_equal(read[:, 1], xyz[:, 1])
    np.testing.assert_array_equal(read[:, 0], xyz[:, 0].astype(np.float32))
