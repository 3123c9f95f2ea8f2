# SPDX-License-Identifier: Apache-2.0
"""Clouds: every format reads back what was written, bad files give one line."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plyfile import PlyData, PlyElement

from sphmask_core.clouds.cloud import Cloud, CloudError, read_cloud, write_ply
from test.helpers.pcd import pcd_bytes

FAST = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def make_cloud(height=6, width=7, seed=0):
    rng = np.random.default_rng(seed)
    n = height * width
    xyz = rng.normal(size=(n, 3)).astype(np.float32)
    xyz[n // 3] = np.nan
    rgb = rng.integers(0, 256, (n, 3), np.uint8)
    return Cloud(xyz, rgb, rng.integers(0, 50, n), (height, width))


def assert_equal(actual: Cloud, expected: Cloud):
    np.testing.assert_array_equal(actual.xyz, expected.xyz)
    np.testing.assert_array_equal(actual.rgb, expected.rgb)
    np.testing.assert_array_equal(actual.labels, expected.labels)
    assert actual.shape == expected.shape
    assert (actual.xyz.dtype, actual.rgb.dtype, actual.labels.dtype) == (np.float32, np.uint8, np.int64)


@pytest.mark.parametrize("data", ["ascii", "binary", "binary_compressed"])
@pytest.mark.parametrize(("color", "kind"), [("rgb", "F"), ("rgba", "U")])
def test_pcd(tmp_path, data, color, kind):
    cloud = make_cloud()
    (tmp_path / "a.pcd").write_bytes(pcd_bytes(cloud, data, color, kind))
    assert_equal(read_cloud(tmp_path / "a.pcd"), cloud)


def test_pcd_with_a_field_a_color(tmp_path):
    fields = "FIELDS x y z r g b\nSIZE 4 4 4 1 1 1\nTYPE F F F U U U\nWIDTH 2\nHEIGHT 1\nDATA ascii\n"
    (tmp_path / "a.pcd").write_text(fields + "0 1 2 255 0 7\n3 4 nan 1 2 3\n")
    cloud = read_cloud(tmp_path / "a.pcd")
    np.testing.assert_array_equal(cloud.rgb, [[255, 0, 7], [1, 2, 3]])
    np.testing.assert_array_equal(cloud.xyz, [[0, 1, 2], [np.nan] * 3])


def test_lzf_repeats(tmp_path):
    """One literal byte repeated: the shortest, the longest and an overlapping reference back."""
    head = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 23\nHEIGHT 1\nDATA binary_compressed\n"
    packed = bytes([0, 0]) + bytes([(7 << 5), 255, 0]) + bytes([(1 << 5), 7]) + bytes([3]) + bytes(range(4))
    packed += bytes([(2 << 5), 3])  # the four literals again
    size = 1 + 264 + 3 + 4 + 4
    (tmp_path / "a.pcd").write_bytes(head.encode() + struct.pack("<II", len(packed), size) + packed)
    xyz = read_cloud(tmp_path / "a.pcd").xyz
    expected = np.frombuffer(bytes(268) + bytes(range(4)) * 2, np.float32).reshape(3, 23).T
    np.testing.assert_array_equal(xyz, expected)


def test_ply_and_extra_fields(tmp_path):
    cloud = make_cloud()
    write_ply(
        tmp_path / "a.ply", cloud, {"label": cloud.labels.astype(np.uint32), "score": np.ones(42, np.float32)}
    )
    assert_equal(read_cloud(tmp_path / "a.ply"), cloud)
    assert PlyData.read(tmp_path / "a.ply")["vertex"]["score"].sum() == 42
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_ply_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="broadcast"):
        write_ply(tmp_path / "a.ply", make_cloud(), {"label": np.zeros(3)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("corners", [3, 4])
def test_ply_with_faces_and_float_colors(tmp_path, text, corners):
    names = ("x", "y", "z", "red", "green", "blue")
    vertices = np.array([(0, 1, 2, 0.0, 0.5, 1.0), (3, 4, 5, 1.0, 0.0, 0.2)], [(n, "f4") for n in names])
    faces = np.array([([0, 1, 0, 1][:corners],)], [("vertex_indices", "i4", (corners,))])
    elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, text=text).write(tmp_path / "a.ply")
    cloud = read_cloud(tmp_path / "a.ply")
    np.testing.assert_array_equal(cloud.xyz, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(cloud.rgb, [[0, 128, 255], [255, 0, 51]])
    assert cloud.labels is None


def test_arrays(tmp_path):
    cloud = make_cloud()
    image = cloud.xyz.reshape(6, 7, 3).astype(np.float64)
    np.savez(tmp_path / "a.npz", xyz=image, rgb=cloud.rgb.reshape(6, 7, 3), labels=cloud.labels)
    assert_equal(read_cloud(tmp_path / "a.npz"), cloud)
    np.savez(tmp_path / "b.npz", xyz=cloud.xyz, rgb=cloud.rgb, labels=cloud.labels, shape=[6, 7])
    assert_equal(read_cloud(tmp_path / "b.npz"), cloud)
    table = np.concatenate([cloud.xyz, cloud.rgb, cloud.labels[:, None]], 1)
    np.save(tmp_path / "a.npy", table)
    assert_equal(read_cloud(tmp_path / "a.npy"), Cloud(cloud.xyz, cloud.rgb, cloud.labels, (1, 42)))
    np.save(tmp_path / "b.npy", cloud.xyz)
    assert read_cloud(tmp_path / "b.npy").rgb is None


def test_lidar_scans(tmp_path):
    """KITTI's .bin: four floats a point, the fourth is not read."""
    cloud = make_cloud()
    scan = np.concatenate([cloud.xyz, np.full((42, 1), 0.5, np.float32)], 1)
    scan.astype("<f4").tofile(tmp_path / "a.bin")
    actual = read_cloud(tmp_path / "a.bin")
    np.testing.assert_array_equal(actual.xyz, cloud.xyz)
    assert (actual.rgb, actual.labels, actual.shape) == (None, None, (1, 42))


@FAST
@given(content=st.binary(max_size=100))
def test_any_bytes_of_whole_rows_are_a_scan(tmp_path, content):
    """A .bin file has no header: whole rows with a finite position are a cloud; the rest is refused."""
    path = tmp_path / "random.bin"
    path.write_bytes(content)
    rows = np.frombuffer(content[: len(content) // 16 * 16], "<f4").reshape(-1, 4)
    valid = np.isfinite(rows[:, :3]).all(1)
    if len(content) % 16 == 0 and valid.any():
        np.testing.assert_array_equal(read_cloud(path).xyz[valid], rows[valid, :3])
    else:
        with pytest.raises(CloudError):
            read_cloud(path)


def test_a_point_with_one_bad_coordinate_is_no_point(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 0, np.inf], [1, 2, 3]]))
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.npy").xyz, [[np.nan] * 3, [1, 2, 3]])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xyz", b"1 2 3", "unknown format '.xyz'; give one of .pcd, .ply, .npz, .npy, .bin"),
        ("a.pcd", b"", "no DATA line"),
        ("a.ply", b"\x00" * 50, "not a PLY file"),
        ("a.npz", b"hello", "not an .npz archive"),
        ("a.npy", b"hello", "not an .npy array"),
        ("a.bin", b"hello", "5 bytes are no rows of float32 x, y, z, intensity"),
        ("a.bin", b"", "holds no points"),
        ("a.pcd", b"FIELDS x y\nSIZE 4 4\nTYPE F F\nWIDTH 1\nHEIGHT 1\nDATA ascii\n1 2\n", "has no field z"),
        (
            "a.pcd",
            b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 0\nHEIGHT 1\nDATA ascii\n",
            "holds no points",
        ),
        ("a.pcd", b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 9\nHEIGHT 1\nDATA ascii\n1 2 3\n", "cut off"),
        (
            "a.pcd",
            b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 1\nHEIGHT 1\nDATA ascii\nnan 2 3\n",
            "no valid point",
        ),
        (
            "a.pcd",
            b"FIELDS x\nSIZE 3\nTYPE F\nWIDTH 1\nHEIGHT 1\nDATA ascii\n1\n",
            "TYPE F of SIZE 3 is unknown",
        ),
        ("a.pcd", b"FIELDS x\nSIZE 4\nTYPE F\nWIDTH two\nHEIGHT 1\nDATA ascii\n1\n", "WIDTH of the header"),
    ],
)
def test_bad_files(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CloudError) as caught:
        read_cloud(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(CloudError, match=r"a\.pcd: no such file"):
        read_cloud(tmp_path / "a.pcd")
    (tmp_path / "b.pcd").mkdir()
    with pytest.raises(CloudError, match="is a folder; give point cloud files"):
        read_cloud(tmp_path / "b.pcd")


def written(tmp_path: Path, suffix: str) -> bytes:
    """A valid file of each kind."""
    path = tmp_path / f"valid{suffix}"
    cloud = make_cloud(3, 3)
    if suffix == ".ply":
        write_ply(path, cloud, {"label": cloud.labels})
    elif suffix == ".npz":
        np.savez_compressed(path, xyz=cloud.xyz, rgb=cloud.rgb)
    elif suffix == ".npy":
        np.save(path, cloud.xyz)
    else:
        return pcd_bytes(cloud, "binary_compressed" if suffix == ".pcd" else suffix)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".pcd", ".ply", ".npz", ".npy"])
@FAST
@given(cut=st.floats(0, 1, exclude_max=True))
def test_cut_off(tmp_path, suffix, cut):
    content = written(tmp_path, suffix)
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(CloudError):
        read_cloud(path)


@pytest.mark.parametrize("suffix", [".pcd", ".ply", ".npz", ".npy"])
@FAST
@given(at=st.floats(0, 1, exclude_max=True), noise=st.binary(min_size=1, max_size=12))
def test_damaged(tmp_path, suffix, at, noise):
    """Whatever bytes are changed: a cloud whose parts fit together, or a CloudError."""
    content = bytearray(written(tmp_path, suffix))
    start = int(at * len(content))
    content[start : start + len(noise)] = noise
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(bytes(content))
    try:
        cloud = read_cloud(path)
    except CloudError as error:
        assert "\n" not in str(error)
        return
    assert len(cloud.xyz) == cloud.shape[0] * cloud.shape[1] > 0
    assert cloud.rgb is None or cloud.rgb.shape == cloud.xyz.shape


@pytest.mark.parametrize("suffix", [".pcd", ".ply", ".npz", ".npy"])
@FAST
@given(
    content=st.binary(max_size=300),
    magic=st.sampled_from([b"", b"ply\nformat ascii 1.0\n", b"PK\x03\x04", b"\x93NUMPY"]),
)
def test_random_bytes(tmp_path, suffix, content, magic):
    path = tmp_path / f"random{suffix}"
    path.write_bytes(magic + content)
    with pytest.raises(CloudError):
        read_cloud(path)


@pytest.mark.parametrize("index", [0, 20, 44])
def test_real_frames(mosd, index):
    """Kinect frames in PCL's own binary_compressed; label 0 is exactly where the sensor saw nothing."""
    cloud = read_cloud(mosd / f"learn{index}.pcd")
    assert cloud.shape == (480, 640)
    valid = np.isfinite(cloud.xyz[:, 2])
    np.testing.assert_array_equal(cloud.labels == 0, ~valid)
    assert 0.3 < np.median(cloud.xyz[valid, 2]) < 2.0
    assert {20, 30} <= set(cloud.labels) and cloud.rgb.std() > 10
