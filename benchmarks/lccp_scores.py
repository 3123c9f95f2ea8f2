# SPDX-License-Identifier: Apache-2.0
"""Accuracy on labeled frames of rooms, beside PCL's LCCP (see benchmarks.lccp) at six settings.

python -m benchmarks.lccp_scores --frames FRAMES --program LCCP

LCCP gives no scores: its segments are ranked by their points.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sphmask_core.clouds.scene import Scene
from sphmask_core.clouds.scenes import open_split
from sphmask_core.evaluation.metrics import ClassScores, ScanResult
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.segmenter import Segmenter

from .card import scores_of
from .readers import write_pcd

SETTINGS = (
    (0.02, 0.08, 10.0),
    (0.02, 0.12, 10.0),
    (0.03, 0.15, 10.0),
    (0.03, 0.2, 15.0),
    (0.04, 0.25, 10.0),
    (0.05, 0.3, 20.0),
)
"""Voxels and seeds, meters, and concavity, degrees: from that of a table to that of a hall."""
OTHERS = ("--plane", "0.03", "--leaf", "0.02")
"""Of the plane that is removed first, meters."""
FOLDER = "ct{:g}_st0.1_ec0_sc0_ms0_mp100"
"""Where under `--out` the program writes labels for a concavity: its other settings are its defaults."""
GRAY = 128
"""Of points without color."""
PROTOCOL = Protocol()


def lccp_scores(
    program: Path, scenes: Sequence[Scene], folder: Path, setting: tuple[float, float, float]
) -> ClassScores:
    """Returns the program's scores on scenes whose clouds lie in `folder`, by number."""
    voxel, seed, concavity = setting
    labels = folder / "{}_{}_{}".format(*setting) / FOLDER.format(concavity)
    labels.mkdir(parents=True)
    clouds = [str(folder / f"{number}.pcd") for number in range(len(scenes))]
    numbers = ["--vox", f"{voxel}", "--seed", f"{seed}", "--ct", f"{concavity}", "--out", str(labels.parent)]
    subprocess.run([program, *numbers, *OTHERS, *clouds], check=True, capture_output=True)
    tables = []
    for number, scene in enumerate(scenes):
        found = np.load(labels / f"{number}.npy")
        names, segments, sizes = np.unique(found, return_inverse=True, return_counts=True)
        masks, classes = np.eye(len(names), dtype=bool), np.zeros(len(names), int)
        kept = names > 0
        scan = ScanResult(
            masks[kept], sizes[kept].astype(float), classes[kept], scene.semantic, scene.instance, segments
        )
        tables.append(PROTOCOL.table(scan))
    return PROTOCOL.precision(tables).mean


def main() -> None:
    """Run the command line: print a row for the model and for each setting of the program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=Path, required=True, help="folder of labeled frames (.npz)")
    parser.add_argument("--program", type=Path, required=True, help="LCCP's program")
    parser.add_argument("--model", default="rooms", help="a preset's name, or weights (default: %(default)s)")
    options = parser.parse_args()
    scenes = list(open_split("frames", options.frames, "all"))
    print(f"{'':40s}   AP50   AP25  recall at 0.5, at 0.25")
    ours, _ = scores_of(Segmenter.load(options.model, "cpu"), scenes, PROTOCOL)
    show(f"sphmask {options.model}", ours.agnostic)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for number, scene in enumerate(scenes):
            xyz, rgb = scene.cloud.xyz.astype(np.float32), scene.cloud.rgb
            colors = np.full(xyz.shape, GRAY, np.uint8) if rgb is None else rgb
            write_pcd(folder / f"{number}.pcd", xyz, colors, "binary", kind="F")
        for setting in tqdm(SETTINGS, disable=None, unit="setting"):
            name = "LCCP, voxels {:g} m, seeds {:g} m, {:g} deg".format(*setting)
            show(name, lccp_scores(options.program, scenes, folder, setting))


def show(name: str, scores: ClassScores) -> None:
    """Print a row."""
    print(f"{name:40s}{scores.ap50:7.3f}{scores.ap25:7.3f}{scores.recall50:8.3f}{scores.recall25:8.3f}")


if __name__ == "__main__":
    main()
