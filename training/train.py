# SPDX-License-Identifier: Apache-2.0
"""Train a preset: python training/train.py config/tabletop.yaml [--resume] [-o DIR] [--set KEY=VALUE ...]

On many GPUs: torchrun --nproc-per-node N training/train.py ...
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from sphmask_core.runtime.process import Ended, ended_by, ending_cleanly

if not __package__:  # run by its path, as torchrun does: the folder beside it is the package of its imports
    __package__ = "training"
    spec = spec_from_file_location(__package__, Path(__file__).resolve().with_name("__init__.py"))
    assert spec is not None
    sys.modules[__package__] = module_from_spec(spec)

import sphmask_core  # noqa: F401  before torch: idle threads then sleep

# isort: split
import torch

from sphmask_core.checkpoints.weights import CheckpointError
from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.prepared import PreparedError
from sphmask_core.config import ConfigError, load_config, override
from sphmask_core.runtime.memory import is_out_of_memory

from .distributed import join, leave, rank
from .runner import Runner

BAD_INPUT = (ConfigError, CheckpointError, CloudError, PreparedError)


def main(arguments: Sequence[str] | None = None, program: str = "train.py") -> int:
    """Runs the command line. Returns the exit status. program: what the command calls itself in what it
    prints."""
    options = _parser(program).parse_args(arguments)
    try:
        with ending_cleanly():
            return _train(options, program)
    except (*BAD_INPUT, OSError, ImportError, FloatingPointError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print(f"{program}: out of memory; a smaller train.batch_size needs less", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return ended_by(signal.SIGINT)
    except Ended as ended:
        return ended.status
    finally:
        leave()


def _train(options: argparse.Namespace, program: str) -> int:
    config = override(load_config(options.config), options.set)
    device = join(options.device)
    runner = Runner(config, options.output or Path("runs") / config.name, device)
    if rank() == 0 and runner.initial:
        print(runner.initial, file=sys.stderr)
    runner.start(options.resume)
    if rank() == 0:
        print("\n".join(runner.outlook()), file=sys.stderr)
    stopped = runner.run()
    if stopped and rank() == 0:
        print(f"{program}: stopped by {signal.Signals(stopped).name}; go on with --resume", file=sys.stderr)
    return ended_by(stopped) if stopped else 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, description="Train a preset; under torchrun, on many GPUs and machines."
    )
    parser.add_argument("config", help="a preset's name or a .yaml file")
    parser.add_argument("-o", "--output", type=Path, help="folder of the run (default: runs/<preset>)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="e.g. train.lr=2e-3"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
