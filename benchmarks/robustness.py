# SPDX-License-Identifier: Apache-2.0
"""What a model of rooms loses on clouds that are unlike those it was trained on.

python -m benchmarks.robustness rooms

Simulated scans that it has not seen are changed as other sensors and programs change theirs. Scores are of
all classes as one.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from scipy.spatial import cKDTree
from tqdm import tqdm

from sphmask_core.clouds.scene import Scene
from sphmask_core.segmenter import Segmenter
from training.datasets.rooms import KINDS, simulate, simulate_room

from .card import HEADER, row, scores_of
from .oracles import SIMULATED, protocol_of

NEIGHBORS = 24
"""Points whose plane says whether a place is flat."""
FLAT = 0.01
"""Meters from its plane, root mean square, below which a place is flat."""
SMOOTHED = 64
"""Nearest points that are averaged at most."""


def spaced(scene: Scene, spacing: float) -> Scene:
    """Returns the scene with one point in each cell of `spacing` meters."""
    return scene.take(one_in_each(scene.cloud.xyz, spacing))


def as_a_mesh(scene: Scene, fine: float, coarse: float) -> Scene:
    """Returns the scene with points as a mesh has vertices: `coarse` meters apart where it is flat, else
    `fine`."""
    xyz = scene.cloud.xyz.astype(float)
    around = xyz[cKDTree(xyz).query(xyz, NEIGHBORS)[1]]
    around -= around.mean(1, keepdims=True)
    variances = np.linalg.eigvalsh(np.einsum("nki,nkj->nij", around, around) / NEIGHBORS)
    flat = np.sqrt(variances[:, 0].clip(0)) < FLAT
    kept = [
        rows[one_in_each(xyz[rows], spacing)]
        for rows, spacing in ((np.flatnonzero(~flat), fine), (np.flatnonzero(flat), coarse))
    ]
    return scene.take(np.sort(np.concatenate(kept)))


def smoothed(scene: Scene, radius: float) -> Scene:
    """Returns the scene with every point at the mean of those within `radius` meters, by Gaussian weights."""
    xyz = scene.cloud.xyz.astype(float)
    distance, rows = cKDTree(xyz).query(xyz, SMOOTHED, distance_upper_bound=radius)
    weight = np.where(np.isfinite(distance), np.exp(-((2 * distance / radius) ** 2)), 0)[..., None]
    around = xyz[np.minimum(rows, len(xyz) - 1)]
    mean = (around * weight).sum(1) / weight.sum(1)
    return replace(scene, cloud=replace(scene.cloud, xyz=mean.astype(np.float32)))


def rough(scene: Scene, deviation: float) -> Scene:
    """Returns the scene with every point moved at random, by a normal distribution in meters."""
    noise = np.random.default_rng(0).normal(0, deviation, scene.cloud.xyz.shape)
    return replace(scene, cloud=replace(scene.cloud, xyz=(scene.cloud.xyz + noise).astype(np.float32)))


def lit(scene: Scene, factor: float) -> Scene:
    """Returns the scene with colors of other brightness."""
    assert scene.cloud.rgb is not None
    rgb = (scene.cloud.rgb * factor).clip(0, 255).astype(np.uint8)
    return replace(scene, cloud=replace(scene.cloud, rgb=rgb))


def colorless(scene: Scene) -> Scene:
    """Returns the scene without colors."""
    return replace(scene, cloud=replace(scene.cloud, rgb=None))


CHANGES: dict[str, Callable[[Scene], Scene]] = {
    "as they are": lambda scene: scene,
    "points 3 cm apart": partial(spaced, spacing=0.03),
    "points 5 cm apart": partial(spaced, spacing=0.05),
    "flat parts 12 cm apart": partial(as_a_mesh, fine=0.03, coarse=0.12),
    "smoothed over 8 cm": partial(smoothed, radius=0.08),
    "noise of 1 cm": partial(rough, deviation=0.01),
    "half as bright": partial(lit, factor=0.5),
    "no colors": colorless,
}
"""What is done to every scene."""


def one_in_each(xyz: np.ndarray, spacing: float) -> np.ndarray:
    """Returns the rows, ascending, of a random point in each cell of `spacing` meters of points (N, 3)."""
    order = np.random.default_rng(0).permutation(len(xyz))
    cells = np.floor(xyz[order] / spacing).astype(np.int64)
    return np.sort(order[np.unique(cells, axis=0, return_index=True)[1]])


def main() -> None:
    """Run the command line: print a row for every change."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a preset's name, or weights, of a model of rooms")
    parser.add_argument("--scans", type=int, default=12, help="simulated scans (default: %(default)s)")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model, "cpu")
    protocol = protocol_of(segmenter.config)
    of_scans = (s for s in itertools.count(SIMULATED) if KINDS[s % len(KINDS)] is simulate_room)
    seeds = list(itertools.islice(of_scans, options.scans))
    scans = [simulate(seed) for seed in tqdm(seeds, disable=None, unit="scan")]
    print(HEADER)
    for name, change in CHANGES.items():
        scores, count = scores_of(segmenter, map(change, scans), protocol)
        print(row(name, count, scores.agnostic, scores), flush=True)


if __name__ == "__main__":
    main()
