# SPDX-License-Identifier: Apache-2.0
"""Properties of the single terms, and batches in which there is nothing to learn from."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.config import LossConfig, TrainConfig
from sphmask_core.method.candidates import mask_iou
from sphmask_core.method.model import SphericalMask
from test.helpers.small import SMALL
from training.boxes import box_iou
from training.losses import Criterion, dice_loss, enough_foreground, margin_loss, semantic_loss
from training.matching import match
from training.scene import TrainingScene, collate
from training.targets import IGNORE, build_targets

CONFIG = dataclasses.replace(SMALL, train=TrainConfig(queries=8))

corner = st.tuples(*[st.floats(-5, 5, width=32)] * 3)
size = st.tuples(*[st.floats(0.125, 3, width=32)] * 3)


def box(low, edges):
    return torch.tensor([*low, *(a + b for a, b in zip(low, edges, strict=True))])


@given(corner, size, corner, size)
def test_giou_is_symmetric_and_bounded(low_a, size_a, low_b, size_b):
    a, b = box(low_a, size_a), box(low_b, size_b)
    iou, giou = box_iou(a, b)
    assert 0 <= iou <= 1 and -1 <= giou <= iou + 1e-6
    assert float(giou) == pytest.approx(float(box_iou(b, a)[1]), abs=1e-5)


@given(corner, size)
def test_giou_of_a_box_with_itself_is_one(low, edges):
    assert float(box_iou(box(low, edges), box(low, edges))[1]) == pytest.approx(1, abs=2e-3)


def test_giou_of_disjoint_boxes_falls_with_their_distance():
    a, near, far = (torch.tensor([x, 0, 0, x + 1, 1, 1.0]) for x in (0, 1.5, 4))
    assert box_iou(a, near)[0] == 0
    assert box_iou(a, near)[1] == pytest.approx(-0.2, abs=1e-4)
    assert box_iou(a, far)[1] < box_iou(a, near)[1] < 0


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4))
def test_matching_is_the_cheapest(seed, n_queries, n_instances):
    cost = torch.from_numpy(np.random.default_rng(seed).random((n_queries, n_instances)))
    pairs = match(cost)
    k = min(n_queries, n_instances)
    assert len(set(pairs.queries.tolist())) == len(set(pairs.instances.tolist())) == k
    best = min(
        sum(cost[q, g] for q, g in zip(queries, instances, strict=True))
        for queries in itertools.permutations(range(n_queries), k)
        for instances in itertools.combinations(range(n_instances), k)
    )
    assert cost[pairs.queries, pairs.instances].sum() == pytest.approx(float(best))


def test_auxiliary_matching_repeats_instances():
    pairs = match(torch.rand(20, 3), repeats=4)
    assert pairs.instances.bincount().tolist() == [4, 4, 4]
    assert len(set(pairs.queries.tolist())) == 12


def test_matching_without_instances_is_empty():
    assert len(match(torch.zeros(5, 0), repeats=4).queries) == 0


def test_dice_of_a_perfect_mask_is_zero():
    mask = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    assert dice_loss((mask - 0.5) * 100, mask).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert dice_loss((0.5 - mask[:1]) * 100, mask[:1]).item() == pytest.approx(1 - 1 / 5)


def test_semantic_loss_without_labels_is_zero():
    loss = semantic_loss(torch.randn(4, 2, requires_grad=True), torch.full((4,), IGNORE), torch.ones(2))
    loss.backward()
    assert loss == 0


def test_semantic_loss_weighs_classes():
    logits = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    loss = semantic_loss(logits, torch.tensor([0, 1]), torch.tensor([1.0, 3.0]))
    expected = torch.nn.functional.cross_entropy(
        logits, torch.tensor([0, 1]), weight=torch.tensor([1.0, 3.0])
    )
    assert loss == pytest.approx(float(expected))


def test_margin_pushes_every_point_to_its_side():
    """Lower migration for false positives, higher for false negatives; nothing without a true positive."""
    xyz = torch.tensor([[0.3, 0, 0], [-0.3, 0, 0], [0, 0.4, 0], [0, -0.4, 0]])
    masks = torch.tensor([[True, True, False, False]])
    delta = torch.tensor([[0.1, -0.1, 0.1, -0.1]], requires_grad=True)
    margin_loss(delta, masks, torch.full((1, 25), 0.5), xyz, (5, 5)).backward()
    hit, missed, false, outside = delta.grad[0].tolist()
    assert hit < 0 and missed < 0 and false > 0 and outside == 0
    assert margin_loss(-delta.abs(), masks, torch.full((1, 25), 0.5), xyz, (5, 5)) == 0


def scene(seed, n_points, labeled):
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, 2, n_points) if labeled else np.zeros(n_points, np.int64)
    return TrainingScene(
        xyz=rng.random((n_points, 3), np.float32),
        rgb=rng.random((n_points, 3), np.float32),
        superpoints=rng.integers(0, 9, n_points),
        semantic=semantic,
        instance=np.where(semantic == 1, rng.integers(0, 3, n_points), IGNORE),
    )


def terms_of(scenes, config=CONFIG):
    torch.manual_seed(0)
    model = SphericalMask(config).train()
    batch = collate(scenes, CONFIG.model)
    targets = build_targets(batch.voxels, batch.semantic, batch.instance, 1, CONFIG.model.rays)
    terms = Criterion(config)(model(batch.voxels, has_foreground=enough_foreground), batch.voxels, targets)
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    return {name: float(term.detach()) for name, term in terms.items()}


def query_terms(terms):
    return {name: value for name, value in terms.items() if not name.startswith("point_")}


def test_a_scene_without_instances_adds_nothing():
    both = query_terms(terms_of([scene(0, 500, True), scene(1, 500, False)]))
    margins = {both.pop(f"{prefix}margin") for prefix in ("", "aux_")}  # 0 without a true positive
    assert all(np.isfinite(value) and value > 0 for value in both.values()) and min(margins) >= 0
    alone = query_terms(terms_of([scene(1, 500, False)]))
    assert set(alone.values()) == {0.0}


def test_little_foreground_has_no_query_loss():
    """Nor a single voxel of it, of which batch norm could take no statistics."""
    assert not query_terms(terms_of([scene(0, 100, True)]))
    assert not query_terms(terms_of([scene(0, 1, True), scene(1, 1, True)]))
    assert query_terms(terms_of([scene(0, 110, True)]))["dice"] > 0


def test_quality_is_the_iou_with_the_object_covered_best():
    """Superpoints of 1, 2, 3 and 4 voxels; objects of the first two and of the last."""
    sizes = torch.tensor([1.0, 2.0, 3.0, 4.0])
    objects = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 1]])
    masks = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    assert mask_iou(masks, objects, sizes).amax(1).tolist() == pytest.approx([1, 2 / 6, 4 / 7, 0])


def test_quality_is_a_term_when_asked_for():
    config = dataclasses.replace(CONFIG, loss=LossConfig(quality=2.0))
    scenes = [scene(0, 500, True), scene(1, 500, False)]
    terms = terms_of(scenes, config)
    assert terms["quality"] > 0 and "quality" not in terms_of(scenes)
    assert terms_of(scenes[1:], config)["quality"] == 0
