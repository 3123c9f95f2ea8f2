# SPDX-License-Identifier: Apache-2.0
"""Georeferenced clouds lose nothing on the way, and units that look wrong are told."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud, read_cloud, write_ply
from sphmask_core.clouds.coordinates import AXES, OUTSIDE, check_unit, far_offset
from sphmask_core.commands.cli import main
from sphmask_core.method.frames import dominant_plane
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.far import UTM


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.load("tabletop", device="cpu")


@pytest.fixture(scope="module")
def cloud():
    return simulate_cloud(3)


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks."""
    return float((first & second).sum() / (first | second).sum())


def test_a_depth_cameras_cloud_is_never_moved(cloud):
    assert not far_offset(cloud.xyz).any()
    assert not far_offset(np.full((3, 3), np.nan)).any() and not far_offset(np.empty((0, 3))).any()
    stray = np.vstack([cloud.xyz, np.full((9, 3), 1e7)])
    assert not far_offset(stray).any()


@pytest.mark.parametrize("place", [UTM, np.full(3, 1e5)], ids=["UTM", "far on all axes"])
def test_far_coordinates_give_the_same_instances(segmenter, cloud, place):
    near, far = segmenter(cloud.xyz, cloud.rgb), segmenter(cloud.xyz + place, cloud.rgb)
    assert len(near) >= 1
    best = max(overlap(near.masks[0], mask) for mask in far.masks)
    assert best > 0.9
    twin = int(np.argmax([overlap(near.masks[0], mask) for mask in far.masks]))
    assert far.centers.dtype == far.boxes.dtype == np.float64
    np.testing.assert_allclose(far.boxes[twin], near.boxes[0] + np.tile(place, 2), atol=0.02)
    np.testing.assert_allclose(far.centers[twin], near.centers[0] + place, atol=0.02)


@pytest.mark.parametrize("place", [UTM, UTM * (-1, -1, 0), UTM * (1, 1, 20)], ids=["100 m", "0 m", "2 km"])
def test_a_far_cloud_is_seen_from_above(segmenter, cloud, place):
    """A table whose z is up: from below, where the frame's origin is 100 m lower, it is taken for its
    underside."""
    seen = np.isfinite(cloud.xyz).all(1)
    up = dominant_plane(torch.from_numpy(cloud.xyz[seen])).normal.numpy()
    level = Rotation.align_vectors([[0, 0, 1]], [up])[0].apply(cloud.xyz)
    near, far = segmenter(level, cloud.rgb), segmenter(level + place, cloud.rgb)
    assert len(near) == len(far) > 3
    for mask, box in zip(near.masks, near.boxes, strict=True):
        overlaps = [overlap(mask, other) for other in far.masks]
        twin = int(np.argmax(overlaps))
        assert overlaps[twin] > 0.9
        np.testing.assert_allclose(far.boxes[twin], box + np.tile(place, 2), atol=0.03)


@pytest.mark.parametrize("up", list(AXES.values()))
@pytest.mark.parametrize("place", [UTM, -UTM, np.array([0.0, 0.0, 5e4])], ids=["+", "-", "z alone"])
def test_far_clouds_are_put_below_the_origin(cloud, up, place):
    moved = cloud.xyz + place - far_offset(cloud.xyz + place, up)
    middle = np.nanmedian(moved, axis=0)
    assert abs(middle @ up + OUTSIDE) <= 1
    np.testing.assert_allclose(np.abs(middle), OUTSIDE, atol=1)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".ply"])
def test_files_keep_float64_where_float32_would_round(tmp_path, suffix):
    xyz = np.random.default_rng(0).random((50, 3)) + UTM
    path = tmp_path / f"utm{suffix}"
    if suffix == ".ply":
        write_ply(path, Cloud(xyz, None, None, (1, 50)), {})
    else:
        np.save(path, xyz) if suffix == ".npy" else np.savez(path, xyz=xyz)
    np.testing.assert_array_equal(read_cloud(path).xyz, xyz)


def test_results_are_in_the_clouds_coordinates(tmp_path, cloud):
    write_ply(tmp_path / "utm.ply", replace(cloud, xyz=cloud.xyz + UTM), {})
    assert main(["segment", str(tmp_path / "utm.ply"), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 0
    np.testing.assert_allclose(read_cloud(tmp_path / "out/utm.ply").xyz, cloud.xyz + UTM, rtol=0, atol=1e-8)
    instances = json.loads((tmp_path / "out/utm.json").read_text())["instances"]
    assert instances and all(np.linalg.norm(instance["center"] - UTM) < 10 for instance in instances)


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1000), ("cm", 100)])
def test_units(tmp_path, capsys, cloud, unit, scale):
    """What is not in meters is refused with the option that would do, and segmented with it."""
    write_ply(tmp_path / "a.ply", replace(cloud, xyz=cloud.xyz * scale), {})
    run = ["segment", str(tmp_path / "a.ply"), "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main(run) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "units look wrong" in error and f"give --unit {unit}" in error
    assert main([*run, "--unit", unit]) == 0
    np.testing.assert_allclose(read_cloud(tmp_path / "out/a.ply").xyz, cloud.xyz, rtol=1e-5)


def test_meters_are_meters(cloud):
    check_unit(cloud.xyz, 0.005)
    check_unit(cloud.xyz + UTM, 0.005)
    check_unit(np.full((2, 3), np.nan), 0.005)
