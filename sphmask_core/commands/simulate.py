# SPDX-License-Identifier: Apache-2.0
"""sphmask simulate: a cloud for whoever has no sensor at hand."""

from __future__ import annotations

import argparse

from sphmask_core.clouds.cloud import write_ply
from sphmask_core.commands.terminal import SUCCESS
from sphmask_core.simulation.demo import SCENES


def simulate(options: argparse.Namespace) -> int:
    """Write the simulated cloud of a seed and print how to segment it; returns the exit status.

    Raises ValueError where the file is there already, is no .ply, or the seed is negative, and ImportError
    without the extra `simulation` that rooms and streets need.
    """
    if options.cloud.suffix.lower() != ".ply":
        raise ValueError(f"{options.cloud}: simulated clouds are written as .ply")
    if options.cloud.exists():
        raise ValueError(f"{options.cloud}: is there already; name another file")
    if options.seed < 0:
        raise ValueError(f"--seed {options.seed}: give a number from 0")
    scene = SCENES[options.scene]
    cloud = scene.simulate(options.seed)
    write_ply(options.cloud, cloud, {})
    print(f"{options.cloud}: {len(cloud.xyz)} points of a simulated {options.scene}")
    print(f"sphmask segment {options.cloud} -o results --model {scene.model}")
    return SUCCESS
