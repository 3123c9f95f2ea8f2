# SPDX-License-Identifier: Apache-2.0
"""The command line, `sphmask COMMAND`: segment, view, simulate, eval, adapt, prepare, train, convert, ..."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import torch

from sphmask_core import native
from sphmask_core.checkpoints.convert import convert
from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.commands.bench import cloud_levels, measure, measure_machine, measurements, simulated_clouds
from sphmask_core.commands.evaluate import evaluate
from sphmask_core.commands.options import TRAINING, joined_axes, make_parser
from sphmask_core.commands.peers import compare_convolutions
from sphmask_core.commands.segment import segment
from sphmask_core.commands.simulate import simulate
from sphmask_core.commands.terminal import BAD_INPUT, BROKEN_PIPE, INTERRUPTED, SUCCESS, complain
from sphmask_core.commands.view import view
from sphmask_core.config import Config
from sphmask_core.runtime.memory import is_out_of_memory
from sphmask_core.runtime.process import Ended, ending_cleanly, open_streams
from sphmask_core.runtime.units import MEGA, MM_PER_METER
from sphmask_core.segmenter import Segmenter

VERTICALS = {"z": "z", "plane": "normal of the largest plane", "gravity": "by floor and walls, near z"}
"""What a model takes for up, in words."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; bad input gives one line on stderr and status 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    open_streams()
    if arguments and arguments[0] in TRAINING:
        # another package of the same wheel has these: the core does not import it, it hands over to it
        command = import_module(f"sphmask_training.{arguments[0]}")
        return int(command.main(arguments[1:], f"sphmask {arguments[0]}"))
    runs = {
        "segment": segment, "view": view, "simulate": simulate, "eval": evaluate, "convert": _convert,
        "bench": _bench, "info": _info,
    }  # fmt: skip
    options = make_parser(runs).parse_args(joined_axes(arguments))
    return _guarded(options.run, options)


def _guarded(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Returns the exit status of a command, whatever it raises that is not a defect of ours."""
    try:
        with ending_cleanly():
            return run(options)
    except BrokenPipeError:  # whoever read our output has gone: `sphmask ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError, MemoryError, ImportError) as error:
        complain(str(error) or "out of memory")
        return BAD_INPUT
    except RuntimeError as error:  # torch's, for the CPU's memory
        if not is_out_of_memory(error):
            raise
        complain("out of memory")
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except Ended as ended:
        return ended.status


def _convert(options: argparse.Namespace) -> int:
    print(convert(options.checkpoint, options.config, options.output, options.half))
    return SUCCESS


def _bench(options: argparse.Namespace) -> int:
    if options.repeats < 1 or options.threads < 1:
        raise ValueError("--repeats and --threads must be at least 1")
    torch.set_num_threads(options.threads)
    clouds = [(path.name, read_cloud(path)) for path in options.clouds] or simulated_clouds()
    segmenter = Segmenter.load(options.model, options.device)
    print(f"{options.model} on {segmenter.device}, {options.threads} threads, {options.repeats} runs a cloud")
    print(f"kernels for {native.LEVEL}")
    measured = [measure(segmenter, name, cloud, options.repeats) for name, cloud in clouds]
    print(measurements(measured, measure_machine(segmenter.device)))
    if options.peers:
        levels = cloud_levels(segmenter, clouds[0][1])
        print("\n".join(["", *compare_convolutions(levels, segmenter.config.model.channels)]))
    return SUCCESS


def _info(options: argparse.Namespace) -> int:
    segmenter = Segmenter.load(options.model, "cpu")
    parameters = sum(value.numel() for value in segmenter.model.parameters())
    print(_description(segmenter.config, parameters))
    return SUCCESS


def _description(config: Config, parameters: int) -> str:
    """Returns a line for each thing to know of a model."""
    model, inference = config.model, config.inference
    unet = f"{model.levels} levels of {model.blocks} blocks, {model.channels} channels"
    size = f"{parameters / MEGA:.2f} M parameters, {unet}"
    facts = {
        "name": config.name,
        "instances of": ", ".join(config.instance_classes),
        "other classes": ", ".join(config.semantic_classes[: config.class_shift]) or "none",
        "voxels": f"{config.voxel_size * MM_PER_METER:g} mm",
        "vertical": VERTICALS[config.up],
        "network": f"{size}, {model.rays[0]} x {model.rays[1]} rays",
        "points": f"at least {inference.min_points} an instance",
        "score": f"at least {inference.min_score:g}, {inference.nms} NMS",
    }
    return "\n".join(f"{name + ':':<15}{value}" for name, value in facts.items())
