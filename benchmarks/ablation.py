# SPDX-License-Identifier: Apache-2.0
"""What each part of `tabletop` brings: runs that leave one out, of as many batches, on frames unseen.

python -m benchmarks.ablation --root mosd/learn --frames cameras/frames --init before.safetensors
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from pathlib import Path

from sphmask_core.clouds.scenes import open_split
from sphmask_core.config import Config, load_config, override
from sphmask_core.segmenter import Segmenter
from sphmask_core.simulation.tabletop.sensors import SENSORS
from training.datasets import synthetic, tabletop
from training.made import MadeScenes, Maker, made_scenes
from training.mixing import mixed_scenes

from .card import HEADER, MIXTURE_SEEDS, MIXTURES, row, scores_of
from .oracles import protocol_of
from .recipes import train

ONE_SENSOR, STRUCTURED_LIGHT = "one kind of sensor", SENSORS[0]
"""The variant that is no setting, and its sensor, as mOSD's is."""
NO_SUPPORTS, COARSE = ["supports=false"], ["voxel_size=0.0075"]
SHAPES = ["data.tabletop.simulator=shapes"]
VARIANTS = {
    "whole": [],
    "without supports": NO_SUPPORTS,
    "plain shapes for meshes": SHAPES,
    ONE_SENSOR: [],
    "voxels of 7.5 mm": COARSE,
    "none of them": [*NO_SUPPORTS, *SHAPES, *COARSE],
}
"""What each run sets. Plain shapes are seen by one kind of sensor, too."""
SHORT = [
    "data.tabletop.simulated=140",
    "data.tabletop.mixed=60",
    "train.batch_size=2",
    "train.lr=8e-4",
    "train.ema=0.99",
    "train.log_every=0",
    "train.validate_every=1000",
    "loss.pointwise=16",
    "augment.max_points=30000",
]
"""Settings of all runs: short ones, of crops that are as large with supports as without."""


def training_scenes(name: str, config: Config) -> MadeScenes:
    """Returns real frames, their mixtures and simulated frames, as the data set `tabletop` has them."""
    if name != ONE_SENSOR:
        return tabletop.load_scenes(config, "train")
    simulate = functools.partial(synthetic.simulate_meshes, sensor=STRUCTURED_LIGHT)
    maker = Maker("structured-light", simulate, {"version": synthetic.MESHES})
    seeds = synthetic.SEEDS.of("train", config.data.tabletop.simulated, config.data.skip)
    without = override(config, ["data.tabletop.simulated=0"])
    return tabletop.load_scenes(without, "train") + made_scenes(maker, seeds, config)


def main() -> None:
    """Run the command line: train each variant, and print its rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of mOSD's labeled frames")
    parser.add_argument("--frames", type=Path, help="folder of labeled frames (.npz) of other cameras")
    parser.add_argument("--init", default="", help="weights to begin with; none: from scratch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    frames = open_split("mosd", options.root, "val")
    sets = {"held-out frames": frames, "mixtures": list(mixed_scenes(frames, MIXTURES, MIXTURE_SEEDS[0]))}
    if options.frames:
        sets["other cameras"] = open_split("frames", options.frames, "all")
    common = [f"data.root={options.root}", f"train.init={options.init!r}", f"train.epochs={options.epochs}"]
    for name in options.only:
        config = override(load_config("tabletop"), [*SHORT, *common, *VARIANTS[name], *options.set])
        with tempfile.TemporaryDirectory() as folder:
            train(config, training_scenes(name, config), [], Path(folder))
            segmenter = Segmenter.load(Path(folder) / "last.safetensors", "cpu")
        print(f"{name}\n{HEADER}")
        for set_name, scenes in sets.items():
            scores, count = scores_of(segmenter, scenes, protocol_of(segmenter.config))
            print(row(set_name, count, scores.agnostic, scores), flush=True)


if __name__ == "__main__":
    main()
