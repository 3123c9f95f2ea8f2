# SPDX-License-Identifier: Apache-2.0
"""Pictures: which point a pixel shows, and whose color it has."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.palette import instance_colors
from sphmask_core.pictures.draw import SceneResult, draw_result, draw_scenes, save_grid
from sphmask_core.pictures.views import pixel_points
from sphmask_core.segmenter import Instances
from sphmask_core.simulation.scenes import simulate_cloud

UP = np.array([0.0, 0.0, 1.0])


def instances(labels, up=UP):
    count = int(labels.max())
    masks = np.stack([labels == i + 1 for i in range(count)])
    nothing = np.zeros((count, 6), np.float32)
    rotation = np.stack([np.zeros(3), np.zeros(3), up]).astype(np.float32)
    return Instances(
        segment_masks=np.pad(masks, [(0, 0), (0, 1)]),
        segments=np.arange(len(labels)),
        labels=labels.astype(np.int32),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        class_ids=np.zeros(count, np.int32),
        class_names=("object",) * count,
        centers=nothing[:, :3],
        rays=nothing,
        boxes=nothing,
        rotation=rotation,
        timings={},
    )


def numbered(labels):
    """mOSD labels to 0, 1, 2, ..."""
    return np.where(labels >= 20, labels // 10 - 1, 0)


def test_sensor_view_is_the_image():
    cloud = simulate_cloud(0, 96, 64)
    pixels = pixel_points(cloud, UP, (64, 96))
    seen = np.isfinite(cloud.xyz[:, 0]).reshape(64, 96)
    np.testing.assert_array_equal(pixels, np.where(seen, np.arange(64 * 96).reshape(64, 96), -1))
    assert pixel_points(cloud, UP, (200, 192)).shape == (128, 192)


def test_oblique_view_shows_the_top_and_the_near():
    """Of two crossed sheets, seen from above, the upper one hides the lower."""
    x, y = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 60))
    lower = np.stack([x, y, 0 * x], 2).reshape(-1, 3)
    upper = lower * [0.5, 0.5, 1] + [0, 0, 0.2]
    xyz = np.concatenate([lower, upper]).astype(np.float32)
    pixels = pixel_points(Cloud(xyz, None, None, (1, len(xyz))), UP, (120, 160))
    center = pixels[45:60, 70:90]
    assert (center >= len(lower)).mean() > 0.95
    assert (pixels >= 0).mean() > 0.3 and len(np.unique(pixels)) > 3000


@pytest.mark.parametrize("turn", [0.0, 0.4, 2.0])
def test_rooms_are_looked_into_through_their_walls_and_ceiling(turn):
    """They are seen where nothing else is. Points lie so far apart that one sees through them."""
    rng = np.random.default_rng(0)
    walls = rng.uniform(-1, 1, (40_000, 3))
    side = rng.integers(0, 3, 40_000)
    walls[np.arange(40_000), side] = rng.choice((-1, 1), 40_000)
    xyz = walls * [2, 1.5, 1.2] @ Rotation.from_euler("z", turn).as_matrix().T
    pixels = pixel_points(Cloud(xyz.astype(np.float32), None, None, (1, len(xyz))), UP, (240, 320))
    level = pixels[(pixels >= 0) & (side[pixels] == 2)]
    assert (walls[level, 2] < 0).mean() > 0.8


@pytest.mark.parametrize("organized", [True, False])
@pytest.mark.parametrize("colors", [True, False])
def test_result(tmp_path, organized, colors):
    cloud = simulate_cloud(2)
    labels = numbered(cloud.labels)
    if not organized:
        seen = np.isfinite(cloud.xyz[:, 0])
        cloud, labels = Cloud(cloud.xyz[seen], cloud.rgb[seen], None, (1, int(seen.sum()))), labels[seen]
    if not colors:
        cloud = Cloud(cloud.xyz, None, None, cloud.shape)
    draw_result(tmp_path / "a.png", cloud, instances(labels, np.array([0, -0.7, -0.7])), "found")
    picture = np.asarray(Image.open(tmp_path / "a.png")).astype(int)
    tinted = np.ptp(picture[:, picture.shape[1] // 2 :], axis=2) > 60
    assert 0.01 < tinted.mean() < 0.6
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_instance_has_its_objects_color(tmp_path):
    """Labels and instances that agree but are numbered differently look the same."""
    cloud = simulate_cloud(2)
    truth = numbered(cloud.labels)
    predicted = np.where(truth > 0, truth.max() + 1 - truth, 0)
    draw_scenes(tmp_path / "a.png", [SceneResult("scene", cloud, truth, predicted, "found", UP)])
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    labels, instances = picture[34:274, 336:656], picture[34:274, 664:984]
    np.testing.assert_array_equal(labels, instances)


def test_nothing_found(tmp_path):
    cloud = simulate_cloud(1)
    none = np.zeros(len(cloud.xyz), int)
    scenes = [SceneResult(str(i), cloud, numbered(cloud.labels), none, "found: 0", UP) for i in range(3)]
    draw_scenes(tmp_path / "a.png", scenes)
    assert Image.open(tmp_path / "a.png").size == (6 * 328 + 8, 2 * 274 + 8)


def test_colors_differ():
    colors = instance_colors(12).astype(int)
    distance = np.abs(colors[:, None] - colors).sum(2) + 999 * np.eye(12)
    assert distance.min() > 40
    assert instance_colors(0).shape == (0, 3)


def test_an_object_is_drawn_under_its_id(tmp_path):
    """Instances numbered otherwise, with the ids that they had, are the same picture."""
    cloud = simulate_cloud(2)
    labels = numbered(cloud.labels)
    ids = np.roll(np.arange(1, labels.max() + 1), 1)
    place = np.concatenate([[0], np.argsort(ids) + 1])  # of an id among the instances
    for name, segmented, numbers in (("plain", labels, None), ("ids", place[labels], ids)):
        drawn = dataclasses.replace(instances(segmented), scores=np.full(labels.max(), 0.5, np.float32))
        draw_result(tmp_path / name, cloud, drawn, "found", numbers)
    plain, numbered_by_ids = (np.asarray(Image.open(tmp_path / name)) for name in ("plain", "ids"))
    same = (plain == numbered_by_ids).all(axis=2)
    assert same.mean() > 0.99  # labels that overlap are written in another order


def test_a_caption_stays_above_its_panel(tmp_path):
    panels = [Image.new("RGB", (120, 40), "white") for _ in range(2)]
    for caption, ink in (("a name of no end " * 9, True), ("short", True), ("", False)):
        save_grid(tmp_path / "grid.png", [[(panels[0], caption), (panels[1], "")]])
        sheet = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))
        over_first, over_second = np.split(sheet, [sheet.shape[1] // 2 + 2], axis=1)
        assert (over_first.min() < 128) == ink and over_second.min() == 255
