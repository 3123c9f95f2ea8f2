# SPDX-License-Identifier: Apache-2.0
"""Every loss and gradient norm of one training batch, against the published implementation."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from sphmask_core.checkpoints.published import our_name
from sphmask_core.checkpoints.weights import load_state, read_published
from sphmask_core.config import InferenceConfig
from sphmask_core.method.model import SphericalMask
from test.helpers.golden import CONFIG as GOLDEN
from training.losses import Criterion
from training.scene import TrainingScene, collate
from training.targets import build_targets

CONFIG = replace(GOLDEN, inference=InferenceConfig(foreground_threshold=0.0))
POINTWISE = {
    "pw_sem_loss": "point_semantic",
    "pw_center_loss": "point_center_offset",
    "pw_corners_loss": "point_corner_offset",
    "pw_giou_loss": "point_box_giou",
    "pw_conf_loss": "point_box_confidence",
}
QUERY = {
    "dice_loss": "dice",
    "bce_loss": "bce",
    "cls_loss": "classification",
    "iou_loss": "confidence",
    "box_loss": "box",
    "giou_loss": "giou",
    "second_l1_loss": "radial",
}
NAMES = POINTWISE | QUERY | {f"aux_{published}": f"aux_{ours}" for published, ours in QUERY.items()}
"""Published name of each term -> ours; the published terms left out are always zero."""


@pytest.fixture(scope="module")
def expected(golden):
    return json.loads((golden / "training.json").read_text())


@pytest.fixture(scope="module")
def scenes(golden):
    arrays = np.load(golden / "training.npz")
    ours = {
        "xyz": "xyz",
        "rgb": "rgb",
        "superpoints": "superpoint",
        "semantic": "semantic",
        "instance": "instance",
    }
    return [
        TrainingScene(**{name: arrays[f"scene{b}_{key}"] for name, key in ours.items()}) for b in range(2)
    ]


def backward(scenes, weights, noise_seed, shift=0.0):
    """Terms, and the norm of every gradient.

    noise_seed: of one rounding's noise on features, 0: none; shift: added to the labels of boxes, rays and
    centers, model units.
    """
    model = SphericalMask(CONFIG)
    load_state(model, weights, "reference")
    model.train()
    batch = collate(scenes, CONFIG.model)
    if noise_seed:
        torch.manual_seed(noise_seed)
        batch.voxels.features *= 1 + torch.finfo(torch.float32).eps * torch.randn_like(batch.voxels.features)
    predictions = model(batch.voxels)
    targets = build_targets(
        batch.voxels, batch.semantic, batch.instance, CONFIG.class_shift, CONFIG.model.rays
    )
    for labels in (targets, *targets.scenes):
        labels.boxes.add_(shift)
        labels.centers.add_(shift)
    for labels in targets.scenes:
        labels.rays.add_(shift)
    terms = Criterion(CONFIG)(predictions, batch.voxels, targets)
    torch.stack(list(terms.values())).sum().backward()
    for prefix in ("", "aux_"):  # one number in the published code
        terms[f"{prefix}radial"] = terms[f"{prefix}radial"] + terms.pop(f"{prefix}margin")
    norms = {name: float(p.grad.norm()) for name, p in model.named_parameters()}
    return {name: float(term.detach()) for name, term in terms.items()}, norms


@pytest.fixture(scope="module")
def published(golden):
    return read_published(golden / "reference_small.pth")


def test_every_term(threads, scenes, published, expected):
    terms, _ = backward(scenes, published, noise_seed=0)
    wanted = {NAMES[name]: value for name, value in expected["losses"].items() if name in NAMES}
    assert set(terms) == set(wanted)
    assert terms == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    assert sum(terms.values()) == pytest.approx(expected["losses"]["loss"], rel=1e-4)


def test_terms_left_out_are_zero(expected):
    left_out = set(expected["losses"]) - set(NAMES) - {"loss"}
    assert all(expected["losses"][name] == 0 for name in left_out)


TIE = 1e-6
"""Model units, more than the rounding of a coordinate: an element of an L1 term so near its label may have
either sign."""


def test_every_gradient_norm(threads, scenes, published, expected):
    """The published norms, on one side of each of two kinks that these scenes lie on within rounding.

    One hidden unit lies at its ReLU's kink: 2 of the 228 norms move by 1.3e-4 with its side. One element of
    an L1 term lies 1e-7 from its label: its gradient has a sign that the number of threads decides. So the
    norms may be met as they are, with noise of one rounding in the input, or with labels moved by TIE.
    """
    wanted = {our_name(name): norm for name, norm in expected["grad_norms"].items() if our_name(name)}
    for shift, noise_seed in itertools.product((0.0, TIE, -TIE), range(4)):
        _, norms = backward(scenes, published, noise_seed, shift)
        assert set(norms) == set(wanted)
        if norms == pytest.approx(wanted, rel=1e-4, abs=1e-4):
            return
    pytest.fail("no side of the kinks gives the published norms")
