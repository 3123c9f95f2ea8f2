# SPDX-License-Identifier: Apache-2.0
"""Protocols, pooled scores, confusion and the worst scenes, with made-up predictions."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.prepared import Manifest
from sphmask_core.clouds.scenes import Scene, every
from sphmask_core.config import Config, InferenceConfig, load_config
from sphmask_core.evaluation.protocol import PUBLISHED_TURN, Protocol, protocol_of
from sphmask_core.evaluation.report import as_json, class_table
from sphmask_core.evaluation.scoring import Gallery, Segmented, pool, score_scenes, segment_scenes
from sphmask_core.pictures.draw import SceneResult
from sphmask_core.pictures.missed import MissedObjects

CONFIG = Config(
    semantic_classes=("ceiling", "wall", "chair", "table"),
    instance_classes=("wall", "chair", "table"),
    inference=InferenceConfig(whole_classes=(0,)),
)
MANIFEST = Manifest("s3dis", CONFIG.semantic_classes, 1, (0, 1, 2, 3), ())
SIZE = 200
PROTOCOL = Protocol(CONFIG.semantic_classes, CONFIG.semantic_ids, coverage=True)


def scene(classes, name="scene"):
    """SIZE points for each object; objects of these classes."""
    semantic = np.repeat(classes, SIZE)
    instance = np.repeat(np.arange(len(classes)) * 7, SIZE)
    xyz = np.random.default_rng(0).random((len(semantic), 3), np.float32)
    return Scene(name, Cloud(xyz, None, None, (1, len(xyz))), semantic, instance, np.arange(len(xyz)))


def own_objects(scene, class_ids):
    """The scene's own objects, each with a class id that `said` gives it; None: not found."""
    numbers = np.unique(scene.instance)
    masks = [scene.instance == n for n, s in zip(numbers, class_ids, strict=True) if s is not None]
    ids = np.array([s for s in class_ids if s is not None], int)
    return SimpleNamespace(
        segment_masks=np.array(masks, bool).reshape(len(ids), len(scene.semantic)),
        segments=np.arange(len(scene.semantic)),
        scores=np.linspace(0.9, 0.5, len(ids)),
        class_ids=ids,
        labels=np.zeros(len(scene.semantic), int),
        rotation=np.eye(3),
    )


def scored(*pairs):
    gallery = Gallery(2)
    segmented = [Segmented(scene, own_objects(scene, class_ids), 5.0) for scene, class_ids in pairs]
    scores = score_scenes(segmented, PROTOCOL, 0.0, gallery)
    return scores, pool(scores, PROTOCOL), gallery


def test_perfect_predictions():
    """Class ids of predictions: wall, chair, table, then the ceiling, which is one instance."""
    _, pooled, _ = scored((scene([0, 1, 2, 3]), [3, 0, 1, 2]))
    assert all(value == 1 for value in vars(pooled.precision.mean).values())
    assert vars(pooled.agnostic) == vars(pooled.precision.mean)
    np.testing.assert_array_equal(pooled.confusion, np.eye(4, 5))
    assert (pooled.coverage.cov, pooled.coverage.recall) == (1, 1)


def test_wrong_class():
    """A chair called table: found class-agnostically, confused by class."""
    scores, pooled, _ = scored((scene([2, 3]), [2, 2]), (scene([2]), [None]))
    assert pooled.agnostic.recall50 == pytest.approx(2 / 3) and pooled.precision.classes[2].ap == 0
    assert pooled.confusion[2].tolist() == [0, 0, 0, 1, 1] and pooled.confusion[3, 3] == 1
    values = as_json(scores, pooled, PROTOCOL)
    assert values["confusion"] == {"chair": {"table": 1, "none": 1}, "table": {"table": 1}}
    assert values["classes"]["wall"]["ap"] is None and values["classes"]["table"]["ap"] > 0
    assert "chair" in class_table(pooled, PROTOCOL) and "wall" not in class_table(pooled, PROTOCOL)


def test_the_worst_scenes_are_drawn():
    pairs = [
        (scene([2], "good"), [1]),
        (scene([2], "bad"), [None]),
        (scene([2, 2, 2], "half"), [1, 1, None]),
        (scene([2], "fine"), [1]),
    ]
    *_, gallery = scored(*pairs)
    assert [result.name for result in gallery.scenes] == ["bad", "half"]
    assert "found: 0" in gallery.scenes[0].caption
    assert sorted(set(gallery.scenes[1].truth)) == [1, 2, 3]


def test_chosen_scenes_are_drawn():
    gallery = Gallery(2, [0, 2])
    for number in range(4):
        gallery.offer(number, 0.0, lambda number=number: number)
    assert gallery.scenes == [0, 2]


def test_protocols():
    protocol = protocol_of("s3dis", MANIFEST, CONFIG)
    assert (protocol.turn, protocol.largest, protocol.coverage) == (PUBLISHED_TURN, 5_000_000, True)
    assert protocol.semantic_ids == (1, 2, 3, 0) and protocol.shift == 0
    assert protocol_of("mosd", None, load_config("tabletop")).shift == 2
    with pytest.raises(ValueError, match="its 3 classes are not the 4 of s3dis"):
        protocol_of("s3dis", MANIFEST, load_config("tabletop"))


def test_scenes_are_turned_as_published():
    """xyz @ [[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]] with 0.35 pi; labels and superpoints come along."""
    seen = []

    class Recorder:
        def warm_up(self):
            pass

        def __call__(self, xyz, rgb, superpoints, min_score=None):
            seen.append((xyz, superpoints))

    whole = scene([1, 2])
    thinned = [
        segmented.scene
        for segmented in segment_scenes(Recorder(), [whole], Protocol(turn=0.35 * np.pi, largest=399))
    ]
    ((xyz, superpoints),) = seen
    cos, sin = np.cos(0.35 * np.pi), np.sin(0.35 * np.pi)
    expected = whole.cloud.xyz[::4] @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])
    np.testing.assert_allclose(xyz, expected, atol=1e-6)
    np.testing.assert_array_equal(superpoints, np.arange(400)[::4])
    np.testing.assert_array_equal(thinned[0].semantic, whole.semantic[::4])


def test_every_point_or_each_fourth():
    whole = scene([1, 2])
    assert Protocol(largest=400).prepare(whole) is whole and Protocol().prepare(whole) is whole
    assert len(Protocol(largest=399).prepare(whole).semantic) == 100
    assert every(whole, 400).instance.tolist() == [0]


def test_missed_objects_are_the_worst(tmp_path):
    """Objects of 0, 100, 400 and 900 missing points, of 1000 each, and one found whole."""
    truth = np.repeat(np.arange(1, 6), 1000)
    predicted = truth.copy()
    for number, missing in enumerate((0, 100, 400, 900), 1):
        predicted[(number - 1) * 1000 : (number - 1) * 1000 + missing] = 0
    xyz = np.random.default_rng(0).random((5000, 3), np.float32) + truth[:, None] * [2, 0, 0]
    cloud = Cloud(xyz.astype(np.float32), None, None, (1, 5000))
    missed = MissedObjects(1)
    missed.offer(SceneResult("scene", cloud, truth, predicted, "", np.array([0.0, 0.0, 1.0])))
    assert (missed.objects, missed.missed) == (5, 2)
    assert missed.worst[0].iou == pytest.approx(0.1)
    missed.draw(tmp_path / "failures.png")
    assert Image.open(tmp_path / "failures.png").width > 200
    none_missed = MissedObjects(1)
    none_missed.offer(SceneResult("scene", cloud, truth, truth, "", np.array([0.0, 0.0, 1.0])))
    assert (none_missed.objects, none_missed.missed) == (5, 0)
    assert not none_missed.draw(tmp_path / "none.png") and not (tmp_path / "none.png").exists()
