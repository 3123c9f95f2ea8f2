# SPDX-License-Identifier: Apache-2.0
"""Every setting of loss and matching does what it says, and the defaults are the published ones."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sphmask_core.config import Config, LossConfig, MatchingConfig, ModelConfig, TrainConfig, override
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.spherical import inside_polygons
from training.initialize import initialize
from training.losses import Criterion, bce_loss, class_loss, dice_loss, focal_loss, margin_loss
from training.matching import mask_cost, matching_cost
from training.optimizer import build_optimizer
from training.scene import TrainingScene, collate
from training.targets import build_targets

CONFIG = Config(
    semantic_classes=("table", "cup", "box"),
    instance_classes=("cup", "box"),
    model=ModelConfig(channels=4, levels=2, query_dim=8, seeds=16, neighbors=4),
    train=TrainConfig(queries=8),
)
WEIGHTS = ("dice", "bce", "focal", "classification", "confidence", "box", "giou", "radial")


def batch_of(config):
    rng = np.random.default_rng(0)
    semantic = rng.integers(0, 3, 600)
    scene = TrainingScene(
        xyz=rng.random((600, 3), np.float32),
        rgb=rng.random((600, 3), np.float32),
        superpoints=rng.integers(0, 30, 600),
        semantic=semantic,
        instance=np.where(semantic > 0, semantic * 2 + (np.arange(600) > 300), -100),
    )
    return collate([scene], config.model)


def terms_of(config):
    torch.manual_seed(0)
    model = SphericalMask(config).train()
    initialize(model, config)
    batch = batch_of(config)
    targets = build_targets(batch.voxels, batch.semantic, batch.instance, 1, config.model.rays)
    predictions = model(batch.voxels)
    terms = Criterion(config)(predictions, batch.voxels, targets)
    torch.stack(list(terms.values())).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    return {name: float(term.detach()) for name, term in terms.items()}, predictions


@pytest.fixture(scope="module")
def plain():
    return terms_of(CONFIG)[0]


def test_weights_weigh_and_zero_leaves_out(plain):
    for name in WEIGHTS:
        weight = getattr(CONFIG.loss, name)
        doubled = terms_of(override(CONFIG, [f"loss.{name}={2 * weight if weight else 1}"]))[0]
        without = terms_of(override(CONFIG, [f"loss.{name}=0"]))[0]
        assert name not in without and f"aux_{name}" not in without
        if weight:
            assert doubled[name] == pytest.approx(2 * plain[name], rel=1e-5)
            assert doubled[f"aux_{name}"] == pytest.approx(2 * plain[f"aux_{name}"], rel=1e-5)
        others = set(plain) - {name, f"aux_{name}"}
        assert {term: without[term] for term in others} == pytest.approx(
            {term: plain[term] for term in others}
        )


def test_no_auxiliary_matching(plain):
    terms = terms_of(override(CONFIG, ["loss.auxiliary=0"]))[0]
    assert terms == pytest.approx({name: plain[name] for name in plain if not name.startswith("aux_")})
    terms = terms_of(override(CONFIG, ["matching.repeats=1"]))[0]
    assert terms["aux_box"] == pytest.approx(CONFIG.loss.auxiliary * terms["box"])


def test_the_margin_losses_apart():
    xyz = torch.tensor([[0.3, 0, 0], [-0.3, 0, 0], [0, 0.4, 0], [0, -0.4, 0]])
    masks = torch.tensor([[True, True, False, False]])
    rays = torch.full((1, 25), 0.5)

    def gradient(**settings):
        delta = torch.tensor([[0.1, -0.1, 0.1, -0.1]], requires_grad=True)
        margin_loss(delta, masks, rays, xyz, (5, 5), LossConfig(**settings)).backward()
        return delta.grad[0]

    both, corrected, pulled = gradient(), gradient(cohesion=0), gradient(correction=0)
    assert torch.equal(both, corrected + pulled)
    assert corrected[0] == 0 and (corrected[1:3] != 0).all() and pulled[0] < 0 and (pulled[1:] == 0).all()
    delta, losses = torch.tensor([[0.1, -0.1, 0.1, -0.1]]), {}
    for margin in (0.0, 0.2):
        losses[margin] = margin_loss(delta, masks, rays, xyz, (5, 5), LossConfig(margin=margin))
    assert losses[0.2] > losses[0.0]


def test_migration_once_as_in_the_paper():
    """Half the way: a point needs twice the migration to come in."""
    points, centers, rays = torch.tensor([[1.0, 0, 0]]), torch.zeros(1, 3), torch.full((1, 25), 0.5)
    for migrations in (1, 2):
        for delta, inside in ((0.49 / migrations, False), (0.51 / migrations, True)):
            inside_count = inside_polygons(points, torch.tensor([[delta]]), centers, rays, (5, 5), migrations)
            assert inside_count.item() == inside
    xyz, masks = torch.tensor([[0.3, 0, 0], [-0.3, 0, 0]]), torch.ones(1, 2, dtype=torch.bool)
    for migrations in (1, 2):
        delta = torch.full((1, 2), 0.1)
        loss = margin_loss(delta, masks, rays, xyz, (5, 5), LossConfig(), migrations)
        left = torch.tensor(0.3 - 0.1 * migrations)
        assert loss == pytest.approx(float(F.softplus(left.tanh())), rel=1e-5)


def test_focal_loss_is_weighted_cross_entropy():
    delta, masks = torch.randn(3, 50), (torch.rand(3, 50) > 0.5).float()
    torch.testing.assert_close(2 * focal_loss(delta, masks, 0.5, 0.0), bce_loss(delta, masks))
    p = delta.sigmoid()
    expected = -(0.25 * masks * (1 - p) ** 2 * p.log() + 0.75 * (1 - masks) * p**2 * (1 - p).log())
    torch.testing.assert_close(focal_loss(delta, masks, 0.25, 2.0), expected.mean(1))


def test_class_weights_count_for_queries_too():
    """As in the published criterion: those of the classes with instances, and that of "none"."""
    config = override(CONFIG, ["loss.class_weights=[7, 2, 3]", "loss.none_weight=0.4"])
    assert Criterion(config).query_weights.tolist() == pytest.approx([2, 3, 0.4])
    assert Criterion(CONFIG).query_weights.tolist() == pytest.approx([1, 1, 0.1])
    logits, queries, class_ids = torch.randn(4, 3), torch.tensor([2]), torch.tensor([1])
    weights = torch.tensor([2, 3, 0.4])
    expected = F.cross_entropy(logits, torch.tensor([2, 2, 1, 2]), weights)
    assert class_loss(logits, queries, class_ids, weights) == pytest.approx(float(expected))


def test_costs_of_matching():
    rng = torch.Generator().manual_seed(0)
    logits, confidence = torch.randn(5, 3, generator=rng), torch.rand(5, generator=rng)
    boxes = torch.rand(5, 6, generator=rng).sort(1).values
    arguments = logits, confidence, boxes, torch.tensor([0, 1]), boxes[:2]
    none = MatchingConfig(0, 0, 0)
    whole = matching_cost(*arguments, MatchingConfig())
    parts = [
        matching_cost(*arguments, dataclasses.replace(none, **{name: getattr(MatchingConfig(), name)}))
        for name in ("classification", "confidence", "giou")
    ]
    torch.testing.assert_close(whole, sum(parts))
    delta, masks = torch.randn(5, 40, generator=rng), (torch.rand(2, 40, generator=rng) > 0.5).float()
    cost = mask_cost(delta, masks, MatchingConfig(dice=2.0, bce=3.0))
    for g in range(2):
        same = masks[g].expand(5, -1)
        expected = 2 * dice_loss(delta, same) + 3 * bce_loss(delta, same)
        torch.testing.assert_close(cost[:, g], expected)
    assert terms_of(override(CONFIG, ["matching.dice=1", "matching.bce=1"]))[0]["dice"] > 0


def test_no_prior_leaves_the_first_weights_as_they_are():
    torch.manual_seed(0)
    plain = SphericalMask(CONFIG).state_dict()
    for slope, same in ((0, True), (4, False)):
        torch.manual_seed(0)
        model = SphericalMask(CONFIG)
        initialize(model, override(CONFIG, [f"train.prior_slope={slope}"]))
        assert all(torch.equal(value, plain[key]) for key, value in model.state_dict().items()) == same


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_optimizers_step_and_decay(kind):
    """Without a gradient only decoupled decay moves a weight; a large decay moves it more."""
    moved = []
    for decay in (0.0, 0.5):
        weight = torch.nn.Parameter(torch.ones(3))
        settings = [f"train.optimizer.kind={kind}", f"train.optimizer.weight_decay={decay}", "train.lr=0.1"]
        optimizer = build_optimizer([weight], override(CONFIG, settings).train)
        weight.grad = torch.full((3,), 1e-3)
        optimizer.step()
        moved.append(1 - weight[0].item())
    assert 0 < moved[0] < moved[1] or (kind == "adam" and moved == pytest.approx([0.1, 0.1], abs=1e-4))


def test_without_superpoints_masks_are_of_some_foreground_voxels():
    """As published for STPLS3D: at most `mask_voxels` a scene, another choice at each visit."""
    settings = ["model.use_superpoints=false", "train.mask_voxels=40", "inference.foreground_threshold=0.34"]
    config = override(CONFIG, [*settings, "loss.quality=1", "model.voxel_scale=8"])
    terms, predictions = terms_of(config)
    table, foreground = predictions.encoding.superpoints, predictions.encoding.foreground
    assert foreground.sum() > 40 and not foreground.all()
    assert [len(table.xyz), predictions.queries.migration[0].shape[1], len(table.chosen)] == [40] * 3
    assert foreground[table.chosen].all() and table.chosen.diff().min() > 0
    assert terms["dice"] > 0 and terms["quality"] > 0
    voxels = batch_of(config).voxels
    torch.manual_seed(3)
    model = SphericalMask(config).train()
    first, second = (model(voxels).encoding.superpoints.chosen for _ in range(2))
    assert not torch.equal(first, second)
    whole = model.eval().encode(voxels).superpoints
    assert whole.chosen is None and len(whole.xyz) == len(voxels.coords)


def test_instances_without_a_chosen_voxel_are_no_targets():
    batch = batch_of(override(CONFIG, ["model.use_superpoints=false"]))
    (scene,) = build_targets(batch.voxels, batch.semantic, batch.instance, 1, (5, 5)).scenes
    some = scene.masks[1].nonzero().squeeze(1)[:3]
    narrow = scene.on(some)
    assert len(narrow) == 1 and torch.equal(narrow.boxes[0], scene.boxes[1])
    assert narrow.masks.tolist() == [[1, 1, 1]]
