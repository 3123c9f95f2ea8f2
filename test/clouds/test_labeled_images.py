# SPDX-License-Identifier: Apache-2.0
"""Depth images with masks are the frames that a labeled .npz file would be."""

import numpy as np
import pytest
from PIL import Image

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.labeled_images import files_of, read_images
from sphmask_core.clouds.scene import OBJECT, SUPPORT, UNLABELED

H, W = 6, 8


@pytest.fixture
def folder(tmp_path):
    """A plane at 1.5 m with an object of four pixels, and one pixel that nobody knows."""
    mask = np.zeros((H, W), np.uint8)
    mask[2:4, 3:5], mask[0, 0] = 1, 255
    Image.fromarray(np.full((H, W), 1500, np.uint16)).save(tmp_path / "a.depth.png")
    Image.fromarray(mask).save(tmp_path / "a.mask.png")
    Image.fromarray(np.full((H, W, 3), 90, np.uint8)).save(tmp_path / "a.color.png")
    (tmp_path / "intrinsics.txt").write_text("10 10 4 3\n")
    return tmp_path


def test_images_are_a_labeled_frame(folder):
    scene = read_images(folder / "a.depth.png")
    assert scene.name == "a" and scene.cloud.shape == (H, W) and (scene.cloud.rgb == 90).all()
    np.testing.assert_allclose(scene.cloud.xyz[3 * W + 4], [0, 0, 1.5], atol=1e-6)
    semantic = scene.semantic.reshape(H, W)
    assert semantic[0, 0] == UNLABELED and semantic[5, 5] == SUPPORT
    assert (semantic[2:4, 3:5] == OBJECT).all() and (scene.instance >= 0).sum() == 4


def test_depths_of_another_scale_and_no_color(folder):
    (folder / "intrinsics.txt").write_text("10 10 4 3 5000\n")
    (folder / "a.color.png").unlink()
    scene = read_images(folder / "a.depth.png")
    assert scene.cloud.rgb is None
    np.testing.assert_allclose(scene.cloud.xyz[:, 2], 0.3, atol=1e-6)


def test_all_files_decide_what_a_frame_is(folder):
    names = {path.name for path in files_of(folder / "a.depth.png")}
    assert names == {"a.depth.png", "a.mask.png", "a.color.png", "intrinsics.txt"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("intrinsics.txt", b"10 10 4", "intrinsics.txt: give one line"),
        ("intrinsics.txt", b"10 10 4 3 0", "intrinsics.txt: give one line"),
        ("intrinsics.txt", None, "intrinsics.txt: give one line"),
        ("a.mask.png", None, "a.mask.png: no such file"),
        ("a.mask.png", b"hello", "a.mask.png: not an image"),
        ("a.depth.png", b"hello", "a.depth.png: not an image"),
    ],
)
def test_what_is_wrong_is_named(folder, name, content, says):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(CloudError, match=says):
        read_images(folder / "a.depth.png")


def test_a_mask_of_another_size_is_named(folder):
    Image.fromarray(np.zeros((H, W + 1), np.uint8)).save(folder / "a.mask.png")
    with pytest.raises(CloudError, match=r"a\.mask\.png: has 9 x 6 pixels"):
        read_images(folder / "a.depth.png")
