# SPDX-License-Identifier: Apache-2.0
"""The weights in the package do what docs/weights.md says of them, and fit their presets."""

from dataclasses import replace

import pytest

from sphmask_core import Segmenter
from sphmask_core.checkpoints.weights import WEIGHTS_DIR
from sphmask_core.clouds.scenes import open_split
from sphmask_core.config import load_config
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.evaluation.scoring import Gallery, pool, score_scenes, segment_scenes
from training.datasets import synthetic

SHIPPED = sorted(path.stem for path in WEIGHTS_DIR.glob("*.safetensors"))
SIMULATED = 12


def scores(name, scenes):
    """AP50 and overlap F that the weights of this name reach."""
    protocol, segmenter = Protocol(), Segmenter.load(name, "cpu")
    segmented = segment_scenes(segmenter, scenes, protocol, min_score=0.0)
    pooled = pool(score_scenes(segmented, protocol, segmenter.min_score, Gallery(0)), protocol)
    return pooled.precision.mean.ap50, pooled.overlap["f"]


@pytest.mark.parametrize("name", SHIPPED)
def test_they_fit_their_preset(name):
    assert (WEIGHTS_DIR / f"{name}.safetensors").stat().st_size < 12e6
    config = Segmenter.load(name, "cpu").config
    preset = load_config(name)
    assert replace(config, data=preset.data, train=preset.train) == preset


def test_real_frames(mosd):
    ap50, f = scores("tabletop", open_split("mosd", mosd, "val"))
    assert ap50 > 0.96 and f > 0.96


def test_simulated_clutter():
    """Tables of plain shapes, which no training of these weights has seen."""
    ap50, f = scores("tabletop", [synthetic.simulate_shapes(9_000_000 + seed) for seed in range(SIMULATED)])
    assert ap50 > 0.7 and f > 0.8
