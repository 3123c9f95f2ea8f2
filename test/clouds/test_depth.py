# SPDX-License-Identifier: Apache-2.0
"""Depth images: against the pinhole formula, and files and messages of all kinds against each other."""

import struct
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.depth import ColorCamera, Intrinsics, back_project, read_depth, read_rgbd, tum_frames
from sphmask_core.messages.images import read_color_image, read_depth_image, read_intrinsics

Image = pytest.importorskip("PIL.Image", reason="needs pillow")
LENS = Intrinsics(520.0, 515.0, 31.5, 23.0)
RNG = np.random.default_rng(0)
DEPTH = RNG.integers(300, 5000, (48, 64)).astype(np.uint16)
DEPTH[::7, ::5] = 0
COLOR = RNG.integers(0, 256, (48, 64, 3)).astype(np.uint8)


def formula(depth, lens):
    """(H, W, 3) by the textbook, in float64; NaN where there is no depth."""
    v, u = np.mgrid[: depth.shape[0], : depth.shape[1]]
    z = np.where(np.isfinite(depth) & (depth > 0), depth, np.nan).astype(np.float64)
    return np.stack([(u - lens.cx) / lens.fx * z, (v - lens.cy) / lens.fy * z, z], -1)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.floats(1, 2000),
    st.floats(-100, 100),
    st.sampled_from([np.uint16, np.float32, np.dtype(">u2"), np.dtype(">f4")]),
    st.integers(0, 99),
)
def test_is_the_pinhole_formula_for_every_type_and_order(height, width, focal, center, dtype, seed):
    rng = np.random.default_rng(seed)
    depth = rng.integers(0, 4000, (height, width)).astype(dtype)
    lens = Intrinsics(focal, focal * 1.1, center, -center)
    if depth.dtype.kind == "f":
        depth.flat[::3] = np.nan
        depth.flat[1::3] = np.inf
    cloud = back_project(depth, lens)
    meters = depth.astype(np.float64) * (0.001 if depth.dtype.kind == "u" else 1.0)
    assert cloud.shape == (height, width)
    np.testing.assert_allclose(
        cloud.xyz.reshape(height, width, 3), formula(meters, lens), rtol=1e-5, atol=1e-6
    )


def test_colors_of_the_same_pixels_keep_their_places():
    cloud = back_project(DEPTH, LENS, COLOR)
    np.testing.assert_array_equal(cloud.rgb.reshape(COLOR.shape), COLOR)


def test_colors_of_another_camera_are_where_it_sees_the_points():
    """A color camera with twice the pixels, turned and 5 cm aside."""
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(0.05), 0, np.sin(0.05)], [0, 1, 0], [-np.sin(0.05), 0, np.cos(0.05)]]
    pose[:3, 3] = [0.05, 0.01, -0.02]
    lens = Intrinsics(900.0, 905.0, 64.0, 48.0)
    color = RNG.integers(0, 256, (96, 128, 3)).astype(np.uint8)
    cloud = back_project(DEPTH, LENS, color, ColorCamera(lens, pose))
    seen = 0
    for point, rgb in zip(cloud.xyz.astype(np.float64), cloud.rgb, strict=True):
        x, y, z = pose[:3, :3] @ point + pose[:3, 3]
        u, v = lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy
        if not np.isfinite(u) or not (-0.5 <= u < 127.5 and -0.5 <= v < 95.5):
            assert rgb.tolist() == [128] * 3
        elif min(abs(u % 1 - 0.5), abs(v % 1 - 0.5)) > 1e-3:  # else rounding decides
            assert rgb.tolist() == color[round(v), round(u)].tolist()
            seen += 1
    assert seen > 500


def test_a_color_camera_at_the_same_place_is_the_same():
    plain, registered = (
        back_project(DEPTH, LENS, COLOR),
        back_project(DEPTH, LENS, COLOR, ColorCamera(LENS, np.eye(4))),
    )
    there = np.isfinite(plain.xyz[:, 0])
    np.testing.assert_array_equal(plain.rgb[there], registered.rgb[there])


@pytest.mark.parametrize(
    ("depth", "color", "words"),
    [
        (DEPTH.astype(np.int32), None, "int32"),
        (DEPTH[0], None, "expected"),
        (DEPTH, COLOR[:10], "color has 64 x 10 pixels, depth 64 x 48"),
        (DEPTH, COLOR[..., :2], "expected"),
    ],
)
def test_what_is_no_image_is_one_clear_line(depth, color, words):
    with pytest.raises(ValueError, match=words):
        back_project(depth, LENS, color)


@pytest.mark.parametrize("values", [(0, 1, 1, 1), (1, -1, 1, 1), (np.nan, 1, 1, 1), (1, 1, np.inf, 1)])
def test_intrinsics_are_checked(values):
    with pytest.raises(ValueError, match="fx and fy"):
        Intrinsics(*values)


def test_files_of_the_tum_benchmark(tmp_path):
    for name in ("depth", "rgb"):
        (tmp_path / name).mkdir()
    lines = {"depth": [], "rgb": []}
    for i in range(3):
        Image.fromarray(DEPTH * 5).save(tmp_path / "depth" / f"{i}.png")
        Image.fromarray(COLOR).save(tmp_path / "rgb" / f"{i}.png")
        lines["depth"].append(f"{100 + i:.4f} depth/{i}.png")
        lines["rgb"].append(f"{100.01 + i + (i == 2):.4f} rgb/{i}.png")
    for name, rows in lines.items():
        (tmp_path / f"{name}.txt").write_text("# a comment\n" + "\n".join(rows) + "\n")
    frames = list(tum_frames(tmp_path))
    assert [(time, color and color.name) for time, _, color in frames] == [
        (100, "0.png"),
        (101, "1.png"),
        (102, None),
    ]
    _, depth, color = frames[0]
    cloud, expected = read_rgbd(depth, color, LENS, 1 / 5000), back_project(DEPTH, LENS, COLOR)
    np.testing.assert_allclose(cloud.xyz, expected.xyz, rtol=1e-6)
    np.testing.assert_array_equal(cloud.rgb, expected.rgb)


def test_images_that_announce_more_than_they_hold_are_refused_before_memory_is_taken(tmp_path):
    Image.fromarray(np.zeros((4000, 4000), np.uint16)).save(tmp_path / "empty.png")
    data = (tmp_path / "empty.png").read_bytes()
    assert read_depth(tmp_path / "empty.png").shape == (4000, 4000)  # nothing is packed more tightly
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    message = SimpleNamespace(format="rgb8; png compressed bgr8", data=data[: len(data) // 2])
    for read in (lambda: read_depth(tmp_path / "cut.png"), lambda: read_color_image(message)):
        with pytest.raises(CloudError, match=f"announces 4000 x 4000 pixels, which {len(data) // 2} bytes"):
            read()
    with pytest.raises(CloudError, match="more than --max-points 1000"):
        read_rgbd(tmp_path / "empty.png", None, LENS, max_points=1000)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_files_that_are_none_are_named(tmp_path, content):
    path = tmp_path / "depth.png"
    path.write_bytes(content)
    with pytest.raises(CloudError, match=r"depth\.png"):
        read_rgbd(path, None, LENS)


def image(pixels, encoding, padding=0, big=False):
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    height, width = pixels.shape[:2]
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=rows.shape[1],
        is_bigendian=big,
        data=rows.tobytes(),
    )


@pytest.mark.parametrize("padding", [0, 6])
def test_depth_messages(padding):
    for pixels, encoding, big in [
        (DEPTH, "16UC1", False),
        (DEPTH.astype(">u2"), "mono16", True),
        (DEPTH.astype("<f4") / 1000, "32FC1", False),
    ]:
        np.testing.assert_array_equal(read_depth_image(image(pixels, encoding, padding, big)), pixels)


@pytest.mark.parametrize("padding", [0, 5])
def test_color_messages(padding):
    alpha = np.full((48, 64, 1), 7, np.uint8)
    gray = COLOR[..., :1]
    for pixels, encoding, expected in [
        (COLOR, "rgb8", COLOR),
        (COLOR[..., ::-1], "bgr8", COLOR),
        (np.concatenate([COLOR, alpha], -1), "rgba8", COLOR),
        (np.concatenate([COLOR[..., ::-1], alpha], -1), "bgra8", COLOR),
        (gray, "mono8", np.repeat(gray, 3, -1)),
    ]:
        np.testing.assert_array_equal(read_color_image(image(pixels, encoding, padding)), expected)


def png(pixels):
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_compressed_messages():
    plain = SimpleNamespace(
        format="16UC1; compressedDepth png", data=struct.pack("<iff", 0, 0, 0) + png(DEPTH)
    )
    np.testing.assert_array_equal(read_depth_image(plain), DEPTH)
    a, b = (
        100.0 * (100.0 + 1),
        1.0 - 100.0 * 101.0 / 10.0,
    )  # depth_quantization 100, depth_max 10, as in the plugin
    meters = DEPTH.astype(np.float32) / 1000
    steps = np.where(DEPTH > 0, a / np.maximum(meters, 1e-3) + b, 0).round().astype(np.uint16)
    header = struct.pack("<iff", 0, a, b)
    read = read_depth_image(SimpleNamespace(format="32FC1; compressedDepth png", data=header + png(steps)))
    np.testing.assert_allclose(read, meters, atol=0.01)
    color = SimpleNamespace(format="rgb8; png compressed bgr8", data=png(COLOR))
    np.testing.assert_array_equal(read_color_image(color), COLOR)


@pytest.mark.parametrize(
    ("msg", "words"),
    [
        (image(DEPTH, "8UC4"), "known: 16UC1"),
        (image(DEPTH[:, :3], "16UC1").__class__(**vars(image(DEPTH, "16UC1")) | {"width": 99}), "need more"),
        (SimpleNamespace(format="jpeg", data=b""), "known: compressedDepth"),
        (SimpleNamespace(format="16UC1; compressedDepth png", data=bytes(20)), "that is none"),
    ],
)
def test_depth_messages_that_are_none(msg, words):
    with pytest.raises(CloudError, match=words):
        read_depth_image(msg)


def test_camera_info():
    info = SimpleNamespace(
        p=[500.0, 0, 32, 0, 0, 501, 24, 0, 0, 0, 1, 0],
        k=[510.0, 0, 33, 0, 511, 25, 0, 0, 1],
        header=SimpleNamespace(frame_id="c"),
    )
    assert read_intrinsics(info) == Intrinsics(500, 501, 32, 24)
    info.p = [0.0] * 12
    assert read_intrinsics(info) == Intrinsics(510, 511, 33, 25)
    info.k = [0.0] * 9
    with pytest.raises(CloudError, match="camera_info of 'c'"):
        read_intrinsics(info)
