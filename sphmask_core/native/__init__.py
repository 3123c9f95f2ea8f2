# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels: arrays in and out, called through ctypes, which releases the GIL.

A function takes contiguous tensors or NumPy arrays on the CPU, the ones that it writes among them, and checks
them; `kernels` lists all. `LEVEL` says which processor's kernels are in use.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch  # before the kernels, so that they share its OpenMP runtime and threads

from sphmask_core.native.kernels import (
    BFLOAT16,
    COORDINATE_BITS,
    LEVEL,
    affine,
    back_project,
    ball_query,
    below_heights,
    count_pairs,
    dense,
    elastic,
    family,
    farthest_points,
    find_neighbors,
    fit_level,
    fit_surface,
    gather_convolve,
    inside_polygons,
    keep_points,
    label_points,
    list_pairs,
    lowest,
    lzf_decompress,
    mean_point,
    migrate,
    near_level,
    norm_relu,
    number_keys,
    on_surfaces,
    pack,
    pick_colors,
    planes,
    pool_neighbors,
    read_points,
    sample,
    segment_bounds,
    segment_mean,
    spread,
    spread_segments,
    superpoints,
    surface_normals,
    turn,
    unet,
    upright_boxes,
    voxel_keys,
    watch,
    weight_gradient,
)


def threads() -> int:
    """Returns the number of threads of a kernel: as many as torch has."""
    return torch.get_num_threads()


@contextmanager
def watching(flag: np.ndarray) -> Iterator[None]:
    """Kernels that this thread calls meanwhile raise CancelledError once the flag (1,) int32 is not 0."""
    watch(flag)
    try:
        yield
    finally:
        watch(None)


__all__ = [
    "BFLOAT16",
    "COORDINATE_BITS",
    "LEVEL",
    "affine",
    "back_project",
    "ball_query",
    "below_heights",
    "count_pairs",
    "dense",
    "elastic",
    "family",
    "farthest_points",
    "find_neighbors",
    "fit_level",
    "fit_surface",
    "gather_convolve",
    "inside_polygons",
    "keep_points",
    "label_points",
    "list_pairs",
    "lowest",
    "lzf_decompress",
    "mean_point",
    "migrate",
    "near_level",
    "norm_relu",
    "number_keys",
    "on_surfaces",
    "pack",
    "pick_colors",
    "planes",
    "pool_neighbors",
    "read_points",
    "sample",
    "segment_bounds",
    "segment_mean",
    "spread",
    "spread_segments",
    "superpoints",
    "surface_normals",
    "threads",
    "turn",
    "unet",
    "upright_boxes",
    "voxel_keys",
    "watching",
    "weight_gradient",
]
