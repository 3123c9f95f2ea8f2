# SPDX-License-Identifier: Apache-2.0
"""The phases of a run: the published numbers of steps, and every batch in one phase, epoch and step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.config import Config, load_config, override
from training.loader import batches_per_epoch
from training.phases import phase_of, plan

SCANNET_SCENES = 1201


def planned(config, scenes):
    return plan(config, lambda recipe: batches_per_epoch(scenes, recipe))


@pytest.mark.parametrize(
    ("preset", "backbone_steps", "steps", "rates"),
    [("scannetv2", 30_000, 2_100, (4e-3, 7.5e-4)), ("scannet200", 30_000, 48_000, (4e-3, 7.5e-4))],
)
def test_published_steps(preset, backbone_steps, steps, rates):
    """ISBNet's backbone run, then the published run; each at the published rate until its `step_epoch`."""
    backbone, whole = planned(load_config(preset), SCANNET_SCENES)
    assert backbone.pointwise_only and not whole.pointwise_only
    assert backbone.step(backbone.end_batch - 1) + 1 == backbone_steps
    assert whole.step(whole.end_batch - 1) + 1 - backbone_steps == steps
    assert (backbone.rate(0), whole.rate(whole.first_batch)) == rates
    constant = whole.first_batch + whole.train.step_epoch * whole.steps.batches
    assert whole.rate(constant) == rates[1] > whole.rate(constant + 20 * whole.steps.accumulate)
    assert whole.rate(whole.end_batch - 1) < 1.1e-6 or whole.steps.per_epoch == 7


@settings(deadline=None)
@given(
    scenes=st.integers(1, 30),
    backbone=st.integers(0, 3),
    epochs=st.integers(1, 3),
    size=st.integers(1, 4),
    accumulate=st.integers(1, 5),
)
def test_every_batch_has_its_place(scenes, backbone, epochs, size, accumulate):
    settings = {
        "backbone.epochs": backbone,
        "epochs": epochs,
        "batch_size": size,
        "accumulate": accumulate,
        "backbone.repeats": 2,
    }
    config = override(Config(), [f"train.{name}={value}" for name, value in settings.items()])
    phases = planned(config, scenes)
    places, steps = [], []
    for batch in range(phases[-1].end_batch):
        phase = phase_of(phases, batch)
        assert phase.first_batch <= batch < phase.end_batch
        places.append((phase.epoch(batch), phase.place(batch)))
        steps.append(phase.step(batch))
        assert phase.ends_epoch(batch) == (phase.place(batch) == phase.steps.batches - 1)
        assert not phase.ends_epoch(batch) or phase.ends_step(batch)
    assert places == sorted(set(places)) and {epoch for epoch, _ in places} == set(range(backbone + epochs))
    assert steps == sorted(steps) and set(steps) == set(range(steps[-1] + 1))
    assert phase_of(phases, len(places)) is phases[-1]


def test_a_backbone_phase_takes_what_it_is_not_told_from_the_whole():
    settings = [
        "train.backbone.epochs=2",
        "train.lr=0.5",
        "train.batch_size=3",
        "train.backbone.accumulate=7",
    ]
    backbone, whole = planned(override(Config(), settings), 9)
    assert (backbone.train.lr, backbone.train.batch_size, backbone.train.accumulate) == (0.5, 3, 7)
    assert backbone.train.epochs == 2 and whole.train == override(Config(), settings).train
