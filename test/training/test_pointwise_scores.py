# SPDX-License-Identifier: Apache-2.0
"""Figures of the point-wise heads, which every phase of training logs."""

import math

import numpy as np
import pytest
import torch

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.scenes import Scene
from sphmask_core.method.model import SphericalMask
from test.helpers.small import SMALL
from training.pointwise_scores import PointwiseScores, pointwise_scores
from training.targets import IGNORE

CPU = torch.device("cpu")


def test_classes():
    """Class 0: 2 of 3 found, union 4; class 1: 1 of 2 found, union 3; unlabeled voxels do not count."""
    scores = PointwiseScores.of(SMALL)
    scores.add_classes(torch.tensor([0, 0, 1, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, IGNORE]))
    assert scores.means()["mIoU"] == pytest.approx((2 / 4 + 1 / 3) / 2)


def test_instances():
    scores = PointwiseScores.of(SMALL)
    scores.add_instances(torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]), torch.tensor([True, False]))
    means = scores.means()
    assert means["offset_error"] == pytest.approx(3 * SMALL.unit) and means["foreground_recall"] == 0.5


def test_nothing_to_score():
    assert all(math.isnan(value) for value in PointwiseScores.of(SMALL).means().values())


def scene():
    """Points in a cube, half of them an instance."""
    rng = np.random.default_rng(0)
    xyz = rng.random((600, 3), np.float32)
    instance = np.where(np.arange(600) < 300, 0, IGNORE)
    return Scene("a", Cloud(xyz, None, None, (1, 600)), (instance == 0).astype(np.int64), instance)


def test_a_model_whose_offsets_are_zero():
    """The error is the mean distance from the center; all voxels are taken for objects, so none is missed."""
    torch.manual_seed(0)
    model = SphericalMask(SMALL)
    with torch.no_grad():
        for layer in (model.pointwise.center[-1], model.pointwise.semantic[-1]):
            layer.weight.zero_()
            layer.bias.zero_()
        model.pointwise.semantic[-1].bias[1] = 9.0
    means = pointwise_scores(model, [scene()], CPU, lambda: False)
    points = scene().cloud.xyz[:300]
    distance = np.linalg.norm(points - points.mean(0), axis=1).mean()
    assert means["foreground_recall"] == 1 and means["offset_error"] == pytest.approx(distance, rel=0.05)
    assert 0 < means["mIoU"] < 0.5


def test_nothing_is_scored_once_it_is_stopped():
    assert pointwise_scores(SphericalMask(SMALL), [scene()], CPU, lambda: True) == {}
