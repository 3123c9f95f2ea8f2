# SPDX-License-Identifier: Apache-2.0
"""Beside PCL's LCCP (supervoxels and locally convex connected patches, Stein et al. 2014), one thread each.

The program is not part of this repository. It takes `--vox V --seed S --ct DEGREES --reps N FRAME.pcd`
and prints for each repetition a line with the frame's stem and, after it, the milliseconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import threads, wall_ms
from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud

SETTINGS = ("--vox", "0.01", "--seed", "0.04", "--ct", "10")
"""Meters, meters, degrees: the best of a search on mOSD's labeled frames."""


def compare(program: Path, segmenter: Segmenter, frames: Sequence[tuple[Path, Cloud]], repeats: int) -> str:
    """Returns the median milliseconds of both over the frames, and their ratio; on each frame the two take
    turns."""
    ours, theirs = [], []
    with threads(1):
        for path, cloud in frames:
            segmenter(cloud.xyz, cloud.rgb)
            theirs.append(_milliseconds(program, path, repeats))
            times = [wall_ms(lambda cloud=cloud: segmenter(cloud.xyz, cloud.rgb)) for _ in range(repeats)]  # type: ignore[misc]
            ours.append(statistics.median(times))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    return (
        f"one thread each, {len(frames)} frames: ours {mine:.1f} ms, LCCP {peer:.1f} ms; "
        f"ours takes {mine / peer:.2f} times as long"
    )


def _milliseconds(program: Path, path: Path, repeats: int) -> float:
    """Returns the median of the program's own times of one frame; the first one, which warms up, does not
    count."""
    command = [str(program), *SETTINGS, "--reps", str(repeats + 1), str(path)]
    ran = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    lines = [line.split() for line in ran.stdout.splitlines()]
    times = [float(words[words.index(path.stem) + 1]) for words in lines if path.stem in words]
    if len(times) != repeats + 1:
        raise SystemExit(f"{program}: printed no times of {path.name}: {ran.stdout[:200]!r}")
    return statistics.median(times[1:])
