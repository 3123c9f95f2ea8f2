# SPDX-License-Identifier: Apache-2.0
"""RGB-D messages as clouds: against back-projection of the same images, and the pinhole formula."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rosbags", reason="needs the extra `bags`")
pytest.importorskip("PIL", reason="needs pillow")
from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.depth import ColorCamera, Intrinsics, back_project
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.images import read_intrinsics
from sphmask_core.messages.rgbd import RgbdFrame, read_rgbd_frame
from test.helpers.rgbd import compressed_message, image_message, info_message

MAKE = Definitions().make
LENS = Intrinsics(60.0, 61.0, 31.5, 23.0)
RNG = np.random.default_rng(0)
DEPTH = RNG.integers(300, 5000, (48, 64)).astype(np.uint16)
DEPTH[::7, ::5] = 0
COLOR = RNG.integers(0, 256, (48, 64, 3)).astype(np.uint8)
FRAME = "depth_optical_frame"


def header(frame_id=FRAME):
    return MAKE("std_msgs/Header", frame_id=frame_id)


def frame(**changed):
    depth, color = image_message(MAKE, header(), DEPTH, "16UC1"), image_message(MAKE, header(), COLOR, "rgb8")
    return replace(RgbdFrame(depth, info_message(MAKE, header(), LENS, DEPTH.shape), color), **changed)


def nowhere(target, source):
    raise ValueError(f"nothing joins {source} and {target}")


def test_is_the_back_projection_of_its_images():
    cloud, remarks = read_rgbd_frame(frame(), nowhere)
    expected = back_project(DEPTH, LENS, COLOR)
    np.testing.assert_array_equal(cloud.xyz, expected.xyz)
    np.testing.assert_array_equal(cloud.rgb, expected.rgb)
    assert cloud.shape == DEPTH.shape
    assert remarks == []
    assert read_rgbd_frame(frame(color=None), nowhere)[0].rgb is None


def test_compressed_images_are_the_same():
    depth = compressed_message(MAKE, header(), DEPTH, "16UC1; compressedDepth png")
    color = compressed_message(MAKE, header(), COLOR, "rgb8; png compressed bgr8")
    cloud, remarks = read_rgbd_frame(frame(depth=depth, color=color), nowhere)
    expected = back_project(DEPTH, LENS, COLOR)
    np.testing.assert_array_equal(cloud.xyz, expected.xyz)
    np.testing.assert_array_equal(cloud.rgb, expected.rgb)
    assert remarks == []


def test_compressed_depth_in_meters_is_near():
    depth = compressed_message(MAKE, header(), DEPTH / np.float32(1000), "32FC1; compressedDepth png")
    cloud, _ = read_rgbd_frame(frame(depth=depth), nowhere)
    expected = back_project(DEPTH, LENS).xyz
    np.testing.assert_array_equal(np.isnan(cloud.xyz), np.isnan(expected))
    # The plugin's steps are of 1/z: half of one is z * z / 20,200 meters.
    there = ~np.isnan(expected[:, 2])
    z = expected[there, 2]
    assert (np.abs(cloud.xyz[there, 2] - z) <= z * z / 20_000).all()


def test_colors_of_another_size_are_taken_by_their_camera_info():
    color = RNG.integers(0, 256, (96, 128, 3)).astype(np.uint8)
    lens = Intrinsics(120.0, 122.0, 63.5, 46.5)
    sent = frame(
        color=image_message(MAKE, header(), color, "rgb8"),
        color_info=info_message(MAKE, header(), lens, color.shape),
    )
    cloud, remarks = read_rgbd_frame(sent, nowhere)
    np.testing.assert_array_equal(
        cloud.rgb, back_project(DEPTH, LENS, color, ColorCamera(lens, np.eye(4))).rgb
    )
    assert remarks == []


def test_colors_of_another_frame_are_taken_by_its_pose():
    pose = np.eye(4)
    pose[0, 3] = 0.05
    sent = frame(
        color=image_message(MAKE, header("color_optical_frame"), COLOR, "rgb8"),
        color_info=info_message(MAKE, header("color_optical_frame"), LENS, COLOR.shape),
    )
    asked = []
    cloud, remarks = read_rgbd_frame(sent, lambda *frames: asked.append(frames) or pose)
    assert asked == [("color_optical_frame", FRAME)]
    np.testing.assert_array_equal(cloud.rgb, back_project(DEPTH, LENS, COLOR, ColorCamera(LENS, pose)).rgb)
    assert remarks == []


SMALL = image_message(MAKE, header(), COLOR[::2, ::2], "rgb8")
AWAY = image_message(MAKE, header("color_frame"), COLOR, "rgb8")
LEFT_OUT = {
    "another size": ({"color": SMALL}, "their image has 32 x 24 pixels, the depth image 64 x 48"),
    "another frame": ({"color": AWAY}, "their image is of 'color_frame', the depth image of 'depth_optical"),
    "no pose": (
        {"color": AWAY, "color_info": info_message(MAKE, header("color_frame"), LENS, COLOR.shape)},
        "nothing joins depth_optical_frame and color_frame",
    ),
    "another view": (
        {"color_info": info_message(MAKE, header(), LENS, (48, 80))},
        "64 x 48 pixels is not the view of 80 x 48",
    ),
    "unknown": ({"color": image_message(MAKE, header(), COLOR, "yuv422")}, "encoding 'yuv422'"),
    "damaged": (
        {
            "color": MAKE(
                "sensor_msgs/CompressedImage", header=header(), format="jpeg", data=np.zeros(9, "u1")
            )
        },
        "a compressed image that is none",
    ),
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_colors_that_cannot_be_used_are_left_out_with_one_line(name):
    changed, words = LEFT_OUT[name]
    cloud, remarks = read_rgbd_frame(frame(**changed), nowhere)
    assert cloud.rgb is None
    np.testing.assert_array_equal(cloud.xyz, back_project(DEPTH, LENS).xyz)
    (remark,) = remarks
    assert remark.startswith("colors are left out: ") and words in remark


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"info": None}, "no camera_info has come"),
        ({"depth": image_message(MAKE, header(), DEPTH[:0], "16UC1")}, "0 bytes of image"),
        ({"depth": image_message(MAKE, header(), 0 * DEPTH, "16UC1")}, "none of its 3072 pixels has a depth"),
        ({"depth": image_message(MAKE, header(), COLOR, "rgb8")}, "encoding 'rgb8'; known: 16UC1"),
        (
            {
                "depth": MAKE(
                    "sensor_msgs/CompressedImage", format="16UC1; compressedDepth rvl", data=DEPTH[0]
                )
            },
            "RVL; set the publisher's",
        ),
    ],
)
def test_depth_that_cannot_be_used_is_one_clear_line(changed, words):
    with pytest.raises(CloudError, match=words):
        read_rgbd_frame(frame(**changed), nowhere)


def test_distortion_is_said():
    info = info_message(MAKE, header(), LENS, DEPTH.shape, distortion=[0.1, 0, 0, 0, 0])
    _, remarks = read_rgbd_frame(frame(info=info), nowhere)
    assert remarks == [f"the camera_info of '{FRAME}' has distortion: images are taken as rectified"]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 60),
    st.integers(1, 60),
    st.integers(1, 4),
    st.floats(-0.4, 0.4),
    st.floats(-0.4, 0.4),
)
def test_parts_and_resized_images_see_in_the_same_directions(x, y, width, height, binning, left, up):
    """A ray through a point of the whole image goes through the same point of the region of interest."""
    info = info_message(MAKE, header(), LENS, (100, 120))
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = (
        x,
        y,
        width * binning,
        height * binning,
    )
    lens = read_intrinsics(info, (height, width))
    u, v = LENS.fx * left + LENS.cx, LENS.fy * up + LENS.cy  # in the whole image
    inside = (u + 0.5 - x) / binning - 0.5, (v + 0.5 - y) / binning - 0.5
    np.testing.assert_allclose((lens.fx * left + lens.cx, lens.fy * up + lens.cy), inside, atol=1e-9)
