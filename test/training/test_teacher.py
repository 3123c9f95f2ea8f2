# SPDX-License-Identifier: Apache-2.0
"""A network with one block a level learns the features of one with two."""

from dataclasses import replace

import pytest
import torch

from sphmask_core.checkpoints.weights import save_weights
from sphmask_core.config import ConfigError, override
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.voxels import Points, voxelize
from test.helpers import tiny
from test.helpers.small import SMALL
from training import log
from training.teacher import Teacher, find_teacher
from training.train import main

CPU = torch.device("cpu")


def voxels(seed):
    generator = torch.Generator().manual_seed(seed)
    scenes = [torch.rand(2, 600, 3, generator=generator) for _ in range(2)]
    return voxelize([Points(xyz, rgb * 2 - 1, torch.zeros(600).long()) for xyz, rgb in scenes], 20.0)


@pytest.fixture
def taught(tmp_path):
    """The configuration of a student, and its teacher."""
    torch.manual_seed(0)
    teacher = SphericalMask(SMALL).eval()
    save_weights(tmp_path / "teacher.safetensors", teacher, SMALL)
    config = override(SMALL, ["model.blocks=1", f"train.teacher={tmp_path / 'teacher.safetensors'}"])
    return config, teacher


def test_who_has_the_same_features_has_nothing_to_learn(taught):
    config, network = taught
    batch, teacher = voxels(0), Teacher(config, CPU)
    with torch.no_grad():
        features = network.backbone(batch.features, batch.coords)
    assert float(teacher.term(features, batch)) < 1e-6
    assert float(teacher.term(torch.zeros_like(features), batch)) == pytest.approx(
        config.loss.features, rel=0.5
    )


def test_a_student_comes_near_its_teacher(taught):
    config, _ = taught
    teacher, student = Teacher(config, CPU), SphericalMask(config).backbone.train()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    errors = []
    for step in range(60):
        batch = voxels(step % 4)
        error = teacher.term(student(batch.features, batch.coords), batch)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert sum(errors[-4:]) < 0.5 * sum(errors[:4])
    assert not any(p.requires_grad or p.grad is not None for p in teacher.backbone.parameters())


def test_a_teacher_of_other_channels_is_refused(taught):
    config, _ = taught
    wider = replace(config, model=replace(config.model, channels=8))
    with pytest.raises(ConfigError, match=r"train\.teacher: .+ has 4 channels, the model 8"):
        find_teacher(wider, CPU)
    assert find_teacher(SMALL, CPU) is None
    assert find_teacher(override(config, ["loss.features=0"]), CPU) is None


def test_a_run_has_the_teachers_term(tmp_path):
    preset, run, pupil = tiny.write(tmp_path, epochs=1), tmp_path / "run", tmp_path / "pupil"
    assert main([str(preset), "-o", str(run), "--device", "cpu"]) == 0
    settings = ["model.blocks=1", f"train.teacher={run / 'last.safetensors'}"]
    assert main([str(preset), "-o", str(pupil), "--device", "cpu", "--set", *settings]) == 0
    (plain, taught) = (log.read(folder / "log.jsonl")[-1] for folder in (run, pupil))
    assert "features" not in plain and 0 < taught["features"] < float("inf")
