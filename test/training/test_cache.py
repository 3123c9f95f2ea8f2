# SPDX-License-Identifier: Apache-2.0
"""Scenes are made once for all runs; another setting, file or version makes them anew; a stop loses none."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from sphmask_core.clouds.scenes import OBJECT
from sphmask_core.config import ConfigError, load_config, override
from training import cache
from training.datasets import synthetic, tabletop
from training.made import Maker, made_clouds, made_scenes, thinned

SMALL = override(
    load_config("tabletop"),
    ["data.tabletop.simulator=shapes", "data.tabletop.simulated=3", "data.tabletop.mixed=2"],
)


@dataclass
class Counting:
    """Simulates, and leaves a line for each scene that it makes."""

    notes: Path
    stop_at: int = -1

    def __call__(self, seed):
        if seed == self.stop_at:
            raise KeyboardInterrupt
        with self.notes.open("a") as notes:
            notes.write(f"{seed}\n")
        return synthetic.simulate_shapes(seed)

    @property
    def made(self):
        return sorted(map(int, self.notes.read_text().split())) if self.notes.exists() else []


@pytest.fixture
def config(tmp_path):
    return override(SMALL, [f"data.cache={tmp_path / 'cache'}"])


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    return Counting(tmp_path / "made")


def same(a, b):
    return all(
        (getattr(a, name) == getattr(b, name)).all() for name in ("xyz", "rgb", "semantic", "instance")
    )


def test_a_second_run_makes_nothing_and_sees_the_same(config, make):
    first, again = (made_scenes(Maker("m", make, {"version": 1}), range(3), config) for _ in range(2))
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert make.made == [0, 1, 2]
    more = made_scenes(Maker("m", make, {"version": 1}), range(2, 5), config)
    assert same(more[0], first[2]) and len(list(more)) == 3
    assert make.made == [0, 1, 2, 3, 4]


def test_a_scene_is_made_when_it_is_first_asked_for(config, make):
    scenes = made_scenes(Maker("m", make, {}), range(4), config)
    assert make.made == [] and len(scenes) == 4 and scenes.missing() == 4
    assert len(scenes[2]) > 0 and make.made == [2]
    assert len((scenes * 2)[2]) > 0 and make.made == [2]
    assert scenes.missing() == (scenes * 2).missing() == 3
    assert len(scenes.with_classes([OBJECT])) == 4  # which asks all of them
    assert make.made == [0, 1, 2, 3] and scenes.missing() == 0


def test_what_is_read_is_what_was_made(config, make):
    (read,) = made_scenes(Maker("m", make, {}), [7], config)
    fresh = thinned(synthetic.simulate_shapes(7), config)
    np.testing.assert_allclose(read.xyz, fresh.xyz, rtol=1e-6)
    np.testing.assert_allclose(read.rgb, fresh.rgb, atol=1.01 / 255)
    for name in ("semantic", "instance", "superpoints"):
        column = getattr(read, name)
        assert column.dtype == np.int64 and (column == getattr(fresh, name)).all()
    (cloud,) = made_clouds(Maker("m", make, {}), [7], config)
    raw = synthetic.simulate_shapes(7)
    np.testing.assert_array_equal(cloud.cloud.xyz, raw.cloud.xyz)
    np.testing.assert_array_equal(cloud.cloud.rgb, raw.cloud.rgb)
    assert (cloud.semantic == raw.semantic).all() and (cloud.instance == raw.instance).all()


@pytest.mark.parametrize(
    "setting", ["voxel_size=0.01", "superpoints.color=0.05", "superpoints.neighbors=9", "up=z"]
)
def test_other_settings_make_other_scenes(config, make, setting):
    maker = Maker("m", make, {})
    for other in ([], ["train.lr=1", "loss.quality=0.5"]):
        assert len(list(made_scenes(maker, [0], override(config, other)))) == 1
    assert make.made == [0]
    assert len(list(made_scenes(maker, [0], override(config, [setting])))) == 1
    assert make.made == [0, 0]


def test_another_version_or_file_makes_other_scenes(config, make, tmp_path):
    file = tmp_path / "learn0.pcd"
    file.write_bytes(b"one")
    keys = [{"version": 1}, {"version": 2}, {"files": cache.identity([file])}]
    file.write_bytes(b"two, longer")
    keys.append({"files": cache.identity([file])})
    for key in keys:
        assert len(list(made_scenes(Maker("m", make, key), [0], config))) == 1
    assert make.made == [0] * 4


def test_a_stopped_run_goes_on(config, make):
    with pytest.raises(KeyboardInterrupt):
        list(made_clouds(Maker("m", replace(make, stop_at=2), {}), range(5), config))
    before = make.made
    assert 2 not in before
    assert len(list(made_clouds(Maker("m", make, {}), range(5), config))) == 5
    assert make.made == list(range(5))  # every scene once
    assert not list(Path(config.data.cache).rglob(".*"))


def test_two_runs_at_once_share_one_folder(config, tmp_path):
    code = (
        "from sphmask_core.config import load_config, override\n"
        "from training.datasets import synthetic\n"
        "if __name__ == '__main__':\n"
        f"    config = override(load_config('tabletop'), {[f'data.cache={config.data.cache}']!r} + "
        "['data.tabletop.simulated=6', 'data.tabletop.simulator=shapes'])\n"
        "    print(sum(len(scene) for scene in synthetic.load_scenes(config, 'train')))\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    root = Path(__file__).parents[2]
    runs = [
        subprocess.Popen(
            [sys.executable, str(script)],
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    first, second = (run.communicate(timeout=300)[0] for run in runs)
    assert first == second and int(first) > 0
    assert len(list(Path(config.data.cache).rglob("*.npy"))) == 6


def test_scenes_join_and_repeat(config, make):
    some, others = (
        made_scenes(Maker("m", make, {}), range(2), config),
        made_scenes(Maker("n", make, {}), [7], config),
    )
    assert [scene.seed for scene in (some * 2 + others).kept] == [0, 1, 0, 1, 7]


def test_where_it_is(config, monkeypatch, tmp_path):
    assert cache.cache_root(config) == tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.cache_root(SMALL) == Path("/somewhere/sphmask")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_root(SMALL) == Path.home() / ".cache/sphmask"


def test_a_cache_that_cannot_be_written(config, make, tmp_path):
    (tmp_path / "file").touch()
    beneath = override(config, [f"data.cache={tmp_path / 'file'}"])
    with pytest.raises(ConfigError, match=r"data\.cache: .*name a folder that can be written"):
        made_scenes(Maker("m", make, {}), [0], beneath)


def test_tabletop_is_all_kinds_of_scenes(mosd, config):
    config = override(config, [f"data.root={mosd}", "data.tabletop.simulator=shapes"])
    scenes = tabletop.load_scenes(config, "train")
    real = config.data.tabletop.real_repeats * 36
    assert len(scenes) == real + 2 + 3
    assert [scene.name for scene in tabletop.load_raw(config, "val")][-1] == "mixed17"


def bare_when_even(seed):
    """A simulated table; of an even seed without a labeled object."""
    scene = synthetic.simulate_shapes(seed)
    return replace(scene, semantic=np.zeros_like(scene.semantic)) if seed % 2 == 0 else scene


def test_scenes_are_chosen_by_their_classes(config):
    scenes = made_scenes(Maker("bare", bare_when_even, {"version": 1}), range(3), config)
    chosen = scenes.with_classes([OBJECT])
    assert len(chosen) == 1 and same(chosen[0], scenes[1])
    assert len((scenes + chosen).with_classes(iter([OBJECT, 99]))) == 2
    assert len(scenes.with_classes([99])) == 0


def test_a_later_run_skips_what_an_earlier_one_saw_and_validates_on_the_same(config):
    def files(*settings):
        chosen = override(config, settings)
        scenes = [synthetic.load_scenes(chosen, split) for split in ("train", "val")]
        return [{kept.file for kept in split.kept} for split in scenes]

    first, validated = files()
    later, validated_later = files("data.skip=3")
    assert len(first) == len(later) == 3 and not first & later
    assert validated == validated_later and not validated & (first | later)
    assert files("data.skip=1")[0] & first
