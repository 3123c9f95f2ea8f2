# SPDX-License-Identifier: Apache-2.0
"""The weights in the package do what docs/weights.md says of them, and fit their presets."""

from dataclasses import replace

import pytest

from sphmask_core import Segmenter
from sphmask_core.checkpoints.weights import WEIGHTS_DIR
from sphmask_core.clouds.scenes import open_split
from sphmask_core.config import load_config
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.evaluation.scoring import Gallery, evaluate, pool, segment_scenes
from training.datasets import synthetic

SHIPPED = sorted(path.stem for path in WEIGHTS_DIR.glob("*.safetensors"))
SIMULATED = 12


def scores(name, scenes):
    """AP50 and overlap F that the weights of this name reach."""
    protocol, segmenter = Protocol(), Segmenter.load(name, "cpu")
    found = segment_scenes(segmenter, scenes, protocol)
    pooled = pool(evaluate(found, protocol, segmenter.min_score, Gallery(0)), protocol)
    return pooled.precision.mean.ap50, pooled.overlap["f"]


def test_both_are_there():
    assert SHIPPED == ["tabletop", "tabletop-fast"]


@pytest.mark.parametrize("name", SHIPPED)
def test_they_fit_their_preset(name):
    assert (WEIGHTS_DIR / f"{name}.safetensors").stat().st_size < 12e6
    config = Segmenter.load(name, "cpu").config
    preset = load_config(name)
    assert replace(config, data=preset.data, train=preset.train) == preset


@pytest.mark.parametrize(
    ("name", "least_ap50", "least_f"), [("tabletop", 0.97, 0.98), ("tabletop-fast", 0.9, 0.94)]
)
def test_real_frames(name, least_ap50, least_f, mosd):
    ap50, f = scores(name, open_split("mosd", mosd, "val"))
    assert ap50 > least_ap50 and f > least_f


@pytest.mark.parametrize(
    ("name", "least_ap50", "least_f"), [("tabletop", 0.86, 0.9), ("tabletop-fast", 0.8, 0.86)]
)
def test_simulated_clutter(name, least_ap50, least_f):
    """Tables that nobody trained on."""
    ap50, f = scores(name, [synthetic.simulate_shapes(9_000_000 + seed) for seed in range(SIMULATED)])
    assert ap50 > least_ap50 and f > least_f
