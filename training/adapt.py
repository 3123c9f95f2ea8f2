# SPDX-License-Identifier: Apache-2.0
"""Adapt the shipped weights to one's own camera: sphmask adapt FRAMES -o mine.safetensors

FRAMES is a folder of a few labeled frames: .npz (xyz, rgb, label, shape), .ply or .pcd with a field label, or
depth images with masks (NAME.depth.png, NAME.mask.png, NAME.color.png, and intrinsics.txt for all); objects
are numbered from 1, 0 is what is no object, -1 (in masks the highest number) what nobody knows.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from sphmask_core.checkpoints.weights import (
    CheckpointError,
    load_model,
    load_state,
    read_state,
    read_weights,
    save_weights,
)
from sphmask_core.clouds.cloud import CloudError
from sphmask_core.config import Config, ConfigError, override
from sphmask_core.method.model import SphericalMask
from sphmask_core.runtime.memory import is_out_of_memory
from sphmask_core.runtime.process import Ended, ended_by, ending_cleanly

from .datasets import adapt
from .distributed import join
from .runner import Runner

BATCH, BATCHES = 4, 400
"""Scenes of a batch, and batches: some minutes on two cores."""
MIXED, SIMULATED = 160, 160
"""Scenes that are made of the frames, and simulated ones, so that what is known is not forgotten."""
REPEATS = 5
"""Times that an epoch sees each own frame."""
LR = 3e-4
"""Learning rate: less than half of that of training from the beginning."""
WARMUP_STEPS = 20
"""Steps in which the learning rate rises: one in twenty of `BATCHES`."""
EMA = 0.99
"""Share of the running mean of the weights that a step keeps: it spans about the last hundred steps."""
POINTWISE = 16
"""Weight of the pointwise losses, with which `tabletop` itself was last trained (docs/weights.md)."""
KEPT = 0.5
"""Share of the weights that were begun with in the mean that is written: it has learned nearly as much, and
forgets far less (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022)."""
BAD_INPUT = 2
"""Exit status where the input is at fault."""


def main(arguments: Sequence[str] | None = None, program: str = "adapt.py") -> int:
    """Runs the command line. Returns the exit status. program: what the command calls itself in what it
    prints."""
    options = _parser(program).parse_args(arguments)
    try:
        with ending_cleanly():
            return adapt_weights(options)
    except (CheckpointError, CloudError, ConfigError, OSError, ImportError, FloatingPointError) as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"{program}: out of memory; nothing is written", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"{program}: interrupted; nothing is written", file=sys.stderr)
        return ended_by(signal.SIGINT)
    except Ended as ended:
        return ended.status


def adapt_weights(options: argparse.Namespace) -> int:
    """Trains on the frames and writes the weights that are asked for. Returns the exit status."""
    if options.output.suffix != ".safetensors":
        raise CheckpointError(f"{options.output}: weights are written as .safetensors")
    if not options.output.parent.is_dir():
        raise CheckpointError(f"{options.output.parent}: no such folder")
    frames = len(adapt.frame_paths(options.frames))
    config = configuration(load_model(options.model).config, options, frames)
    print(f"{frames} frames, {options.batches} batches of {BATCH} scenes", file=sys.stderr)
    with TemporaryDirectory() as folder:
        runner = Runner(config, Path(folder), join(options.device))
        runner.start(resume=False)
        stopped = runner.run()
        if stopped:
            print("stopped; nothing is written", file=sys.stderr)
            return ended_by(stopped)
        _write_mean(options.model, Path(folder) / "last.safetensors", options.output)
    print(f"{options.output}: sphmask segment --model {options.output} CLOUD -o results", file=sys.stderr)
    return 0


def _write_mean(before: str, after: Path, output: Path) -> None:
    """Write the mean of the weights from before and after, with the configuration of those after."""
    old, (new, config) = read_state(before), read_weights(after)
    model = SphericalMask(config)
    load_state(model, {key: KEPT * old[key] + (1 - KEPT) * value for key, value in new.items()}, output)
    save_weights(output, model, config)


def configuration(config: Config, options: argparse.Namespace, frames: int) -> Config:
    """Returns the model's configuration with the recipe of adaptation to so many frames."""
    meshes = find_spec("mujoco") is not None and find_spec("embreex") is not None
    scenes = REPEATS * frames + MIXED + SIMULATED
    epochs = max(1, round(options.batches * BATCH / scenes))
    return override(
        config,
        [
            "data.dataset=adapt",
            f"data.root={options.frames}",
            f"data.tabletop.mixed={MIXED}",
            f"data.tabletop.simulated={SIMULATED}",
            f"data.tabletop.simulator={'meshes' if meshes else 'shapes'}",
            f"data.tabletop.real_repeats={REPEATS}",
            f"train.init={options.model}",
            f"train.epochs={epochs}",
            f"train.validate_every={epochs}",
            f"train.batch_size={BATCH}",
            f"train.lr={LR}",
            "train.step_epoch=0",
            f"train.warmup_steps={WARMUP_STEPS}",
            "train.backbone_epochs=0",
            "train.fixed_modules=[]",
            f"train.ema={EMA}",
            f"loss.pointwise={POINTWISE}",
        ],
    )


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Adapt weights to a few frames of one's own.")
    parser.add_argument(
        "frames",
        type=Path,
        metavar="FRAMES",
        help="folder of labeled .npz, .ply, .pcd or depth images",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".safetensors")
    parser.add_argument("--model", default="tabletop", help="weights to begin with (default: %(default)s)")
    parser.add_argument("--batches", type=int, default=BATCHES, help="(default: %(default)s)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


if __name__ == "__main__":
    sys.exit(main())
