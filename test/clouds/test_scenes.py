# SPDX-License-Identifier: Apache-2.0
"""Labeled scenes: the split and the label scheme."""

import numpy as np
import pytest

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.scenes import ground_truth, read_scene, scene_files
from sphmask_core.simulation.scenes import simulate_cloud


def test_split(tmp_path):
    for number in range(45):
        (tmp_path / f"learn{number}.pcd").touch()
    assert [path.stem for path in scene_files(tmp_path, "val")] == [f"learn{n}" for n in range(4, 45, 5)]
    train = scene_files(tmp_path, "train")
    assert len(train) == 36 and not set(train) & set(scene_files(tmp_path, "val"))
    assert [path.stem for path in scene_files(tmp_path)] == [f"learn{n}" for n in range(45)]


def test_label_scheme():
    semantic, instance = ground_truth(np.array([0, 1, 9, 20, 29, 30, 61]))
    assert semantic.tolist() == [-100, 0, 0, 2, 2, 2, 2]
    assert instance.tolist() == [-100, -100, -100, 0, 0, 1, 4]


def test_a_simulated_scene(tables):
    """Table and objects as the simulation made them, from its file."""
    scene, cloud = read_scene(tables / "learn4.pcd"), simulate_cloud(4, 160, 120)
    assert scene.name == "learn4" and scene.cloud.shape == (120, 160)
    semantic, instance = ground_truth(cloud.labels)
    np.testing.assert_array_equal(scene.semantic, semantic)
    np.testing.assert_array_equal(scene.instance, instance)
    assert instance.max() > 0


def test_a_real_scene(mosd):
    scene = read_scene(mosd / "learn44.pcd")
    assert scene.name == "learn44"
    assert sorted(set(scene.instance)) == [-100, 0, 1, 2]
    np.testing.assert_array_equal(scene.semantic == -100, np.isnan(scene.cloud.xyz[:, 0]))


def test_clear_errors(tmp_path):
    with pytest.raises(CloudError, match="holds no scenes"):
        scene_files(tmp_path)
    path = tmp_path / "learn0.pcd"
    path.write_bytes(b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 1\nHEIGHT 1\nDATA ascii\n1 2 3\n")
    with pytest.raises(CloudError, match="has no field label"):
        read_scene(path)
