# SPDX-License-Identifier: Apache-2.0
"""Pictures of simulated tables, colors and depth and labels, beside real ones where a folder is given.

    python -m sphmask_core.simulation.gallery simulated.png --count 24 [--real FOLDER]

A real frame is an .npz file with `xyz` (N, 3), `rgb` (N, 3), `shape` (H, W), and `label` (N,) where there is
one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sphmask_core.clouds.labeled_frames import read_frame
from sphmask_core.clouds.scene import BACKGROUND, SUPPORT, Scene
from sphmask_core.palette import instance_colors
from sphmask_core.pictures.draw import save_grid
from sphmask_core.simulation.tabletop import load_assets, simulate_scene

if TYPE_CHECKING:
    from PIL.Image import Image

PANEL = (180, 240)
"""Height and width of a picture, pixels"""
PAPER, NOBODY = (250, 250, 250), (255, 0, 255)
GROUND = {SUPPORT: (190, 215, 190), BACKGROUND: (150, 150, 190)}
NEAR, FAR = np.array([30, 60, 160]), np.array([240, 190, 60])


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the frames that the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw simulated frames, beside real ones.")
    parser.add_argument("picture", help="the PNG file to write")
    parser.add_argument("--count", type=int, default=24, help="simulated frames")
    parser.add_argument("--seed", type=int, default=0, help="of the first frame")
    parser.add_argument("--columns", type=int, default=3, help="frames in a row")
    parser.add_argument("--real", type=Path, help="a folder of real frames (.npz)")
    options = parser.parse_args(arguments)
    assets = load_assets()
    scenes = [simulate_scene(options.seed + i, assets) for i in range(options.count)]
    if options.real:
        scenes += [read_frame(path) for path in sorted(options.real.glob("*.npz")) if _organized(path)]
    panels = [frame_panels(scene) for scene in scenes]
    rows = [panels[i : i + options.columns] for i in range(0, len(panels), options.columns)]
    save_grid(options.picture, [list(chain(*row)) for row in rows])


def frame_panels(scene: Scene) -> list[tuple[Image, str]]:
    """Returns the color, depth and labels of an organized frame."""
    cloud = scene.cloud
    depth = cloud.xyz[:, 2].reshape(cloud.shape)
    known = np.isfinite(depth)
    rgb = (
        np.full((*cloud.shape, 3), 90, np.uint8) if cloud.rgb is None else cloud.rgb.reshape(*cloud.shape, 3)
    )
    count = len(np.unique(scene.instance[scene.instance >= 0]))
    span = f"{np.nanmin(depth):.2f} to {np.nanmax(depth):.2f} m"
    return [
        (_panel(rgb), scene.name),
        (_panel(_depth_colors(depth)), span),
        (_panel(np.where(known[..., None], _label_colors(scene), PAPER)), f"{count} objects"),
    ]


def _label_colors(scene: Scene) -> np.ndarray:
    colors = np.full((len(scene.semantic), 3), NOBODY)
    for semantic, color in GROUND.items():
        colors[scene.semantic == semantic] = color
    of_object = scene.instance >= 0
    palette = instance_colors(int(scene.instance.max(initial=-1)) + 1)
    colors[of_object] = palette[scene.instance[of_object]]
    return colors.reshape(*scene.cloud.shape, 3)


def _depth_colors(depth: np.ndarray) -> np.ndarray:
    """Returns colors from blue, near, to yellow, far, in bands of a tenth of the range."""
    low, high = np.nanpercentile(depth, [1, 97])
    share = np.clip((depth - low) / max(high - low, 1e-6), 0, 1)[..., None]
    bands = 0.85 + 0.15 * np.cos(20 * np.pi * share)
    return np.where(np.isfinite(depth)[..., None], (NEAR + (FAR - NEAR) * share) * bands, PAPER)


def _panel(pixels: np.ndarray) -> Image:
    """Returns a picture of every pixel that fits, not scaled in between."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(PANEL[0] / height, PANEL[1] / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(np.nan_to_num(pixels).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def _organized(path: Path) -> bool:
    with np.load(path) as file:
        return "shape" in file and "rgb" in file


if __name__ == "__main__":
    main()
