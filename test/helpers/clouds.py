# SPDX-License-Identifier: Apache-2.0
"""Points and voxels that strain kernels, and simulated scenes as a data set has them."""

import numpy as np
import torch

SHAPES = ("free", "clustered", "duplicate", "collinear", "huge", "outlier")


def make_cloud(shape, count, seed):
    """(count, 3) float32 points of a kind that strains rounding, ties or the division of space."""
    random = np.random.default_rng(seed)
    if shape == "duplicate":  # many equal points, many equal distances
        xyz = random.integers(-3, 4, (count, 3)) * 0.1
    elif shape == "collinear":
        xyz = random.integers(0, 50, (count, 1)) * random.normal(size=3) * 0.01
    elif shape == "clustered":
        xyz = random.normal(size=(5, 3))[random.integers(0, 5, count)] + random.normal(0, 0.01, (count, 3))
    elif shape == "huge":  # squared distances reach infinity
        xyz = random.normal(size=(count, 3)) * 10.0 ** random.integers(0, 38, (count, 1))
    else:
        xyz = random.normal(size=(count, 3))
        xyz[: shape == "outlier"] *= 1e9
    return torch.from_numpy(xyz.astype(np.float32))


def random_coords(size, fill, batch=2, seed=0):
    """Distinct voxels in random order: (V, 4) int32."""
    generator = torch.Generator().manual_seed(seed)
    occupied = torch.rand(batch, *size, generator=generator) < fill
    coords = occupied.nonzero().int()
    return coords[torch.randperm(len(coords), generator=generator)]
