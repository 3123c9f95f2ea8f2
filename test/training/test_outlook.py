# SPDX-License-Identifier: Apache-2.0
"""What a run says before it begins, and after its first batches."""

import pytest
import torch

from sphmask_core.config import load_config
from training.loader import batches_per_epoch
from training.outlook import MEASURED, SKIPPED, Speed, outlook
from training.phases import plan

SCENES, VALIDATION = 1201, 312
"""Of ScanNetV2."""


def said(missing):
    phases = plan(load_config("scannetv2"), lambda recipe: batches_per_epoch(SCENES, recipe))
    return list(outlook(phases, SCENES, missing, VALIDATION, torch.nn.Linear(999, 1500), torch.device("cpu")))


def test_scenes_steps_and_rates_of_each_phase():
    first, *phases = said(missing=0)
    assert first.startswith("1,201 scenes, 312 to validate on; 1.5 M parameters; cpu, ")
    assert phases == [
        "epochs 0 to 99: backbone and point-wise heads, 300 steps an epoch of up to 16 scenes, "
        "30,000 in all, lr 0.004",
        "epochs 100 to 399: whole network, 7 steps an epoch of up to 192 scenes, 2,100 in all, lr 0.00075",
    ]


def test_scenes_that_are_yet_to_be_made():
    assert said(missing=900)[1].startswith("900 of the scenes are made when they are first seen")


@pytest.mark.parametrize("making", [0.0, 3.0])
def test_hours_left_at_the_measured_speed(monkeypatch, making):
    """Each batch takes 2 s, beside the seconds in which its scenes are made."""
    batches = SKIPPED + MEASURED
    clock = iter([(2.0 + making) * batch for batch in range(batches)])
    monkeypatch.setattr("training.outlook.time.monotonic", lambda: next(clock))
    speed = Speed(torch.device("cpu"))
    lines = [speed.after_batch(1800, making * batch) for batch in range(batches)]
    assert lines[:-1] == [None] * (batches - 1)
    assert lines[-1].startswith("about 1.0 hours left at 2.00 s a batch; ") and lines[-1].endswith("so far")
    megabytes = 1000 * float(lines[-1].split()[-6])
    assert megabytes > 100
