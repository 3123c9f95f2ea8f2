# SPDX-License-Identifier: Apache-2.0
"""Which preset fits a cloud, and what is said of clouds that a preset has not been trained on."""

import numpy as np
import pytest

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.commands.character import ANCHORS, SAMPLED, character
from sphmask_core.commands.choose import TRAINED, choose, unlike


def frame(distance, spread=0.6, color=True):
    """A slanted plane before a camera, organized."""
    u, v = np.meshgrid(np.linspace(-spread, spread, 80), np.linspace(-spread, spread, 60))
    z = distance * (1 + 0.2 * v)
    xyz = np.stack([u * z, v * z, z], -1).reshape(-1, 3).astype(np.float32)
    return Cloud(xyz, np.zeros(xyz.shape, np.uint8) if color else None, None, (60, 80))


def around(reach, color=False, count=60_000):
    """Ground all around and what stands on it, not organized."""
    xyz = np.random.default_rng(0).uniform(-reach, reach, (count, 3))
    xyz[: count // 2, 2] = 0
    xyz[count // 2 :, 1] = np.round(xyz[count // 2 :, 1] / reach) * reach
    return Cloud(xyz.astype(np.float32), np.zeros(xyz.shape, np.uint8) if color else None, None, (1, count))


@pytest.mark.parametrize(
    ("cloud", "preset"),
    [(frame(0.7), "tabletop"), (frame(3.0), "rooms"), (frame(0.7, color=False), "tabletop"),
     (around(2.5, True), "rooms"), (around(0.4, True), "tabletop"), (around(40), "street"),
     (around(3), "rooms"), (around(60, True), "street")],
)  # fmt: skip
def test_the_preset_that_fits(cloud, preset):
    traits = character(cloud)
    assert choose(traits) == preset
    assert unlike(traits, preset) == ""


@pytest.mark.parametrize("preset", TRAINED)
def test_a_cloud_of_another_kind_is_remarked_on_in_one_line(preset):
    other = frame(0.7) if preset == "street" else around(60)
    remark = unlike(character(other), preset)
    assert "\n" not in remark and preset in remark and choose(character(other)) in remark


def test_clouds_that_have_nothing_and_models_of_ones_own_are_not_remarked_on():
    empty = Cloud(np.full((3, 3), np.nan, np.float32), None, None, (1, 3))
    assert unlike(character(empty), "street") == "" and unlike(character(around(60)), "mine") == ""


def test_spacing_is_that_of_all_points():
    """Of clouds larger than what is looked at together, too, with points that are there twice."""
    xyz = np.random.default_rng(0).normal(size=(100_000, 3)).astype(np.float32)
    xyz[:50] = xyz[50:100]
    traits = character(Cloud(xyz, None, None, (1, len(xyz))))
    some = xyz[np.random.default_rng(0).choice(len(xyz), SAMPLED, replace=False)][:ANCHORS]
    nearest = [np.sort(np.linalg.norm(xyz - anchor, axis=1))[1] for anchor in some]
    assert traits.spacing == pytest.approx(np.median(nearest), rel=1e-5)
