# SPDX-License-Identifier: Apache-2.0
"""Folders of labeled frames: what is read, how scores are grouped, and what is refused in one line."""

import numpy as np
import pytest

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.scenes import OBJECT, SUPPORT, UNLABELED, open_split


def save(folder, name, **change):
    arrays = {
        "xyz": np.arange(36, dtype=np.float32).reshape(12, 3),
        "rgb": np.full((12, 3), 7, np.uint8),
        "label": np.array([-1, 0, 0, 1, 1, 1, 2, 2, 0, 0, 3, 3]),
        "shape": np.array([3, 4]),
    }
    arrays = {key: value for key, value in {**arrays, **change}.items() if value is not None}
    np.savez(folder / f"{name}.npz", **arrays)


def test_what_a_frame_holds(tmp_path):
    save(tmp_path, "table_1")
    (scene,) = open_split("frames", tmp_path, "val")
    assert scene.name == "table_1" and scene.cloud.shape == (3, 4)
    assert scene.semantic.tolist() == [
        UNLABELED,
        *[SUPPORT] * 2,
        *[OBJECT] * 5,
        *[SUPPORT] * 2,
        *[OBJECT] * 2,
    ]
    assert scene.instance[3:8].tolist() == [0, 0, 0, 1, 1] and (scene.instance[:3] < 0).all()


def test_points_without_a_position_count_nowhere(tmp_path):
    """A mask drawn on the image covers pixels without depth, which no method can find."""
    xyz = np.arange(36, dtype=np.float32).reshape(12, 3)
    xyz[3:5] = np.nan
    save(tmp_path, "table_1", xyz=xyz)
    (scene,) = open_split("frames", tmp_path, "val")
    assert scene.semantic[3:6].tolist() == [UNLABELED, UNLABELED, OBJECT]
    assert scene.instance[3:6].tolist() == [UNLABELED, UNLABELED, 0]


def test_groups(tmp_path):
    save(tmp_path, "table_1")
    save(tmp_path, "bin_2")
    save(tmp_path, "table_3", group=np.array("realsense"))
    split = open_split("frames", tmp_path, "val")
    assert dict(zip(split.names, split.groups, strict=True)) == {
        "bin_2": "bin", "table_1": "table", "table_3": "realsense"
    }  # fmt: skip


def test_frames_without_labels_are_passed_over(tmp_path):
    save(tmp_path, "a", label=None)
    with pytest.raises(CloudError, match="holds no labeled frames"):
        open_split("frames", tmp_path, "val")
    save(tmp_path, "b")
    assert open_split("frames", tmp_path, "val").names == ("b",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"shape": np.array([5, 4])}, "12 points do not make 5 rows of 4"),
        ({"shape": np.array([3.0, 4.0])}, "shape must be two whole numbers"),
        ({"shape": np.array([12])}, "shape must be two whole numbers"),
        ({"label": np.arange(3)}, "3 labels for 12 points"),
    ],
)
def test_a_frame_that_contradicts_itself(tmp_path, change, says):
    save(tmp_path, "a", **change)
    with pytest.raises(CloudError, match=says):
        open_split("frames", tmp_path, "val")[0]
