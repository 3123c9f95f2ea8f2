# SPDX-License-Identifier: Apache-2.0
"""Own frames as adaptation reads them, mixtures of them, and the command from frames to weights."""

from dataclasses import replace

import numpy as np
import pytest

from sphmask_core.checkpoints.weights import load_model, save_weights
from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.scene import BACKGROUND, OBJECT, SUPPORT, TABLE_CLASSES
from sphmask_core.method.model import SphericalMask
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.small import SMALL
from training import adapt as command
from training.datasets import adapt
from training.mixing import intrinsics_of


def save_frame(folder, seed, **change):
    cloud = simulate_cloud(seed, 160, 120)
    label = np.unique(np.where(cloud.labels >= 20, cloud.labels, 0), return_inverse=True)[1]
    arrays = {"xyz": cloud.xyz, "rgb": cloud.rgb, "label": label, "shape": np.array(cloud.shape)}
    np.savez(folder / f"frame{seed}.npz", **(arrays | change))


def test_what_is_no_object_is_support_or_background(tmp_path):
    save_frame(tmp_path, 3)
    scene = adapt.own_frame(tmp_path / "frame3.npz")
    assert {SUPPORT, OBJECT} <= set(np.unique(scene.semantic)) <= {-100, SUPPORT, BACKGROUND, OBJECT}
    assert ((scene.instance >= 0) == (scene.semantic == OBJECT)).all()


def test_mixtures_keep_the_camera(tmp_path):
    for seed in (3, 4):
        save_frame(tmp_path, seed)
    paths = tuple(adapt.frame_paths(tmp_path))
    mixed = adapt.own_mixtures(paths)(0)
    own = adapt.own_frame(paths[0])
    assert mixed.cloud.shape == own.cloud.shape
    np.testing.assert_allclose(intrinsics_of(mixed.cloud), intrinsics_of(own.cloud), rtol=0.02)


@pytest.mark.filterwarnings("error")
def test_objects_with_unmeasured_pixels_are_mixed(tmp_path):
    """Masks drawn on the color image cover pixels without depth; objects are mixed all the same."""
    for seed in (5, 6, 7, 8):
        cloud = simulate_cloud(seed, 160, 120)
        holes = np.random.default_rng(seed).random(len(cloud.xyz)) < 0.05
        save_frame(tmp_path, seed, xyz=np.where(holes[:, None], np.nan, cloud.xyz))
    paths = tuple(adapt.frame_paths(tmp_path))
    mixtures = [adapt.own_mixtures(paths)(place) for place in range(4)]
    most = max(adapt.own_frame(path).instance.max() for path in paths)
    assert max(scene.instance.max() for scene in mixtures) > most
    assert len({scene.cloud.xyz.tobytes() for scene in mixtures}) == 4
    for scene in mixtures:
        assert np.isfinite(scene.cloud.xyz[scene.instance >= 0]).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [({"label": np.zeros(19200, int)}, "no object is labeled"), ({"label": None}, "no object is labeled")],
)
def test_frames_that_teach_nothing(tmp_path, change, says):
    save_frame(tmp_path, 3, **{key: value for key, value in change.items() if value is not None})
    if change["label"] is None:
        cloud = simulate_cloud(3, 160, 120)
        np.savez(tmp_path / "frame3.npz", xyz=cloud.xyz)
    with pytest.raises(CloudError, match=says):
        adapt.own_frame(tmp_path / "frame3.npz")


@pytest.fixture
def table_weights(tmp_path):
    config = replace(SMALL, semantic_classes=TABLE_CLASSES)
    path = tmp_path / "models" / "table.safetensors"
    path.parent.mkdir()
    save_weights(path, SphericalMask(config), config)
    return path


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    return folder


def test_an_empty_folder_is_one_line(tmp_path, capsys, frames, table_weights):
    output = tmp_path / "mine.safetensors"
    status = command.main([str(frames), "-o", str(output), "--model", str(table_weights)])
    assert status == 2 and capsys.readouterr().err.count("\n") == 1
    assert not output.exists()


def test_weights_of_other_classes_are_one_line(tmp_path, capsys, frames, weights):
    save_frame(frames, 3)
    arguments = [str(frames), "-o", str(tmp_path / "mine.safetensors"), "--model", str(weights)]
    assert command.main(arguments) == 2
    assert "has the classes support, background, object; small has others" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [0.5, 1.0])
def test_frames_to_weights(tmp_path, monkeypatch, frames, table_weights, kept):
    """What is written lies between the weights from before and after: those from before where all is kept."""
    save_frame(frames, 3)
    monkeypatch.setattr(command, "KEPT", kept)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "MIXED", 2)
    monkeypatch.setattr(command, "SIMULATED", 0)
    output = tmp_path / "mine.safetensors"
    arguments = [str(frames), "-o", str(output), "--model", str(table_weights), "--batches", "2"]
    assert command.main([*arguments, "--device", "cpu"]) == 0
    before, after = (load_model(path).state_dict() for path in (table_weights, output))
    changed = [not (before[key] == after[key]).all() for key in before if before[key].is_floating_point()]
    assert any(changed) == (kept < 1)
