# SPDX-License-Identifier: Apache-2.0
"""Volume of boxes along the camera's axes beside upright ones, on a folder of frames, and a picture of these.

python -m benchmarks.boxes --root FOLDER [--model tabletop] [--picture boxes.png]

The instances are those that the preset finds. The frames are organized clouds of a depth camera.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sphmask_core import Instances, Segmenter
from sphmask_core.clouds.cloud import Cloud, read_cloud
from sphmask_core.commands.inputs import clouds_in
from sphmask_core.messages.markers import CORNERS, EDGES
from sphmask_core.palette import instance_colors
from sphmask_core.pictures.draw import save_grid
from sphmask_core.placement import Placements, place

SHOWN = 4
"""Frames in the picture, at equal distances among all."""
LINE, SMALLER = 4, 2
"""Pixels of a line, in a picture that is made smaller by the other."""


def main() -> None:
    """Run the command line: print how many times as large the boxes along the camera's axes are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of frames")
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--picture", type=Path, help="PNG with the upright boxes on some of the frames")
    arguments = parser.parse_args()
    frames = list(_frames(arguments.root, Segmenter.load(arguments.model, "cpu")))
    ratios = np.concatenate([_ratios(instances, placed) for _, instances, placed in frames])
    print(f"{len(frames)} frames, {len(ratios)} instances: boxes along the camera's axes have ", end="")
    print(f"{np.median(ratios):.2f} times (9 in 10: at most {np.quantile(ratios, 0.9):.2f}) the volume")
    if arguments.picture:
        chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, SHOWN).round().astype(int)]
        pictures = [(_drawn(cloud, placed), "upright boxes") for cloud, _, placed in chosen]
        save_grid(arguments.picture, [pictures[:2], pictures[2:]])


def _frames(root: Path, segmenter: Segmenter) -> Iterator[tuple[Cloud, Instances, Placements]]:
    for file in clouds_in(root):
        cloud = read_cloud(file)
        instances = segmenter(cloud.xyz, cloud.rgb)
        yield cloud, instances, place(cloud.xyz, instances)


def _ratios(instances: Instances, placed: Placements) -> np.ndarray:
    """Returns (I,): volume along the camera's axes over that of the upright box."""
    sides = instances.boxes[:, 3:] - instances.boxes[:, :3]
    return np.asarray(sides.prod(1) / placed.sizes.prod(1))


def _drawn(cloud: Cloud, placed: Placements) -> Image.Image:
    """Returns the frame's colors with the edges of the upright boxes, at half its size."""
    picture = Image.fromarray(np.asarray(cloud.rgb).reshape(*cloud.shape, 3))
    pen, lens = ImageDraw.Draw(picture), _lens(cloud)
    for number, color in enumerate(instance_colors(len(placed))):
        local = CORNERS * placed.sizes[number]
        corners = local @ placed.rotations[number].T + placed.centers[number]
        u, v = (lens[axis] @ [corners[:, axis] / corners[:, 2], np.ones(len(CORNERS))] for axis in (0, 1))
        for a, b in EDGES:
            pen.line([(u[a], v[a]), (u[b], v[b])], tuple(color.tolist()), LINE)
    return picture.reduce(SMALLER)


def _lens(cloud: Cloud) -> list[np.ndarray]:
    """Returns focal length and middle, pixels, of columns and of rows, which fit the points best."""
    rows, columns = np.mgrid[: cloud.shape[0], : cloud.shape[1]]
    seen = np.isfinite(cloud.xyz).all(1)
    x, y, z = cloud.xyz[seen].astype(np.float64).T
    return [
        np.linalg.lstsq(np.stack([at / z, np.ones(len(z))], 1), pixels.reshape(-1)[seen], rcond=None)[0]
        for at, pixels in ((x, columns), (y, rows))
    ]


if __name__ == "__main__":
    main()
