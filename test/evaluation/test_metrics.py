# SPDX-License-Identifier: Apache-2.0
"""Metrics: the published evaluation's figures, and what must hold for any segmentation."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.evaluation.metrics import ScanResult, average_precision, coverage, overlap

NAMES = ("ap", "ap50%", "ap25%", "rc", "rc50%", "rc25%")


def golden_scans(golden, name, count):
    arrays = np.load(golden / f"{name}.npz")
    for i in range(count):
        semantic = arrays[f"scan{i}_semantic"]
        masks = np.unpackbits(arrays[f"scan{i}_pred_mask"], axis=1)[:, : len(semantic)].astype(bool)
        scores, classes = arrays[f"scan{i}_pred_score"], arrays[f"scan{i}_pred_label"]
        yield ScanResult(masks, scores, classes, semantic, arrays[f"scan{i}_instance"])


@pytest.mark.parametrize("kind", ["label", "class_agnostic"])
def test_scannet_protocol(golden, kind):
    expected = json.loads((golden / "evaluation.json").read_text())
    scans = golden_scans(golden, "evaluation", 8)
    precision = average_precision(scans, 18, 2, class_agnostic=kind == "class_agnostic")
    overall = [expected[kind][f"all_{n}"] for n in ("ap", "ap_50%", "ap_25%", "rc", "rc_50%", "rc_25%")]
    np.testing.assert_allclose(list(vars(precision.mean).values()), overall, rtol=0, atol=1e-9)
    names = expected["classes"] if kind == "label" else ["class_agnostic"]
    assert len(precision.classes) == len(names)
    for scores, name in zip(precision.classes, names, strict=True):
        per_class = [expected[kind]["classes"][name][key] for key in NAMES]
        per_class = [np.nan if number is None else number for number in per_class]
        np.testing.assert_allclose(list(vars(scores).values()), per_class, rtol=0, atol=1e-9)


def test_s3dis_protocol(golden):
    expected = json.loads((golden / "evaluation_s3dis.json").read_text())
    covered = coverage(golden_scans(golden, "evaluation_s3dis", 6), 13)
    numbers = [expected[name] for name in ("mCov", "mWCov", "mPrec", "mRec")]
    np.testing.assert_allclose(list(vars(covered).values()), numbers, rtol=0, atol=1e-9)


def scan_of(instance, masks, scores):
    instance = np.asarray(instance)
    semantic = np.where(instance >= 0, 1, 0)
    return ScanResult(
        np.asarray(masks, bool), np.asarray(scores), np.zeros(len(masks), int), semantic, instance
    )


def labeling(max_objects=4):
    return st.lists(st.integers(-1, max_objects - 1), min_size=12, max_size=40).filter(lambda x: max(x) >= 0)


@settings(max_examples=50, deadline=None)
@given(instance=labeling())
def test_the_truth_scores_one(instance):
    ids = sorted(set(instance) - {-1})
    masks = [[value == i for value in instance] for i in ids]
    scan = scan_of(instance, masks, np.linspace(0.5, 1, len(ids)))
    assert list(vars(average_precision([scan], 1, 1, min_region=1).mean).values()) == pytest.approx([1] * 6)
    agreement = overlap(scan, 1)
    assert (agreement.precision, agreement.recall, agreement.f, agreement.good_share) == (1, 1, 1, 1)


@settings(max_examples=100, deadline=None)
@given(instance=labeling(), predicted=labeling(6), data=st.data())
def test_bounds_and_order(instance, predicted, data):
    """All scores are in [0, 1], whatever the order of the predictions; a looser IoU never scores less."""
    n = min(len(instance), len(predicted))
    instance, predicted = np.array(instance[:n]), np.array(predicted[:n])
    if instance.max() < 0:
        instance[0] = 0
    masks = np.stack([predicted == i for i in range(6)])
    scores = np.array(data.draw(st.permutations(range(6)))) / 6
    order = np.array(data.draw(st.permutations(range(6))))
    given, shuffled = scan_of(instance, masks, scores), scan_of(instance, masks[order], scores[order])
    means = average_precision([given], 1, 1, min_region=1).mean
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in vars(means).values())
    assert means.recall <= means.recall50 + 1e-9
    again = average_precision([shuffled], 1, 1, min_region=1).mean
    assert (means.ap, means.ap50) == pytest.approx((again.ap, again.ap50))
    a, b = overlap(given, 1), overlap(shuffled, 1)
    assert a == b and 0 <= a.precision <= 1 and 0 <= a.recall <= 1
    assert min(a.precision, a.recall) - 1e-9 <= a.f <= max(a.precision, a.recall) + 1e-9


def test_overlap_by_hand():
    """Six points of an object, four found, two false: F = 2 * 4 / (6 + 6)."""
    instance = [0] * 6 + [-1] * 6
    scan = scan_of(instance, [[0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]], [0.9])
    agreement = overlap(scan, 1)
    assert (agreement.precision, agreement.recall, agreement.f) == pytest.approx((4 / 6, 4 / 6, 4 / 6))
    assert (agreement.objects, agreement.good) == (1, 0)


def test_overlap_gives_a_point_to_the_best_score_and_skips_unlabeled_points():
    instance = np.array([0, 0, 1, 1, -1, -1])
    masks = np.array([[1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0]], bool)
    semantic = np.array([1, 1, 1, 1, -100, -100])
    scan = ScanResult(masks, np.array([0.5, 0.9]), np.zeros(2, int), semantic, instance)
    agreement = overlap(scan, 1)
    assert (agreement.precision, agreement.recall, agreement.good) == (1, 1, 2)
    assert overlap(scan, 1, min_score=0.6).recall == 0.5


@pytest.mark.parametrize(
    ("instance", "mask", "expected"),
    [([0, 0], [0, 0], (1, 0, 0)), ([-1, -1], [1, 1], (0, 1, 0)), ([-1, -1], [0, 0], (1, 1, 1))],
)
def test_nothing_found_or_nothing_there(instance, mask, expected):
    agreement = overlap(scan_of(instance, [mask], [1.0]), 1)
    assert (agreement.precision, agreement.recall, agreement.f) == expected


def test_no_ground_truth_is_not_a_number():
    precision = average_precision([scan_of([-1] * 5, [[1] * 5], [1.0])], 1, 1, min_region=1)
    assert np.isnan(precision.mean.ap)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(0, 5))
def test_masks_over_segments_score_as_masks_over_points(seed, segments, count):
    rng = np.random.default_rng(seed)
    of_point = rng.integers(0, segments, 40)
    masks = rng.random((count, segments)) < 0.5
    semantic, instance = rng.integers(-1, 3, 40), rng.integers(-1, 4, 40)
    semantic[semantic < 0] = -100
    rest = rng.random(count), rng.integers(0, 2, count), semantic, instance
    dense, sparse = ScanResult(masks[:, of_point], *rest), ScanResult(masks, *rest, of_point)
    for score in (
        lambda scan: average_precision([scan], 2, 1, min_region=2),
        lambda scan: overlap(scan, 1, 0.3),
        lambda scan: coverage([scan], 3),
    ):
        assert str(score(dense)) == str(score(sparse))
