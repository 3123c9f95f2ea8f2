# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels: arrays in and out, called through ctypes, which releases the GIL.

A function takes contiguous tensors or NumPy arrays on the CPU, the ones that it writes among them, and checks
them; `kernels` lists all. `LEVEL` says which processor's kernels are in use.
"""

import torch  # first, so that the kernels share its OpenMP runtime and threads

from sphmask_core.native.kernels import (
    COORDINATE_BITS,
    LEVEL,
    affine,
    ball_query,
    count_pairs,
    elastic,
    family,
    farthest_points,
    find_neighbors,
    gather_convolve,
    label_points,
    list_pairs,
    lzf_decompress,
    migrate,
    norm_relu,
    number_keys,
    on_surfaces,
    pack,
    planes,
    sample,
    segment_bounds,
    segment_mean,
    superpoints,
    turn,
    voxel_keys,
    weight_gradient,
)


def threads() -> int:
    """Threads of a kernel: as many as torch's."""
    return torch.get_num_threads()


__all__ = [
    "COORDINATE_BITS",
    "LEVEL",
    "affine",
    "ball_query",
    "count_pairs",
    "elastic",
    "family",
    "farthest_points",
    "find_neighbors",
    "gather_convolve",
    "label_points",
    "list_pairs",
    "lzf_decompress",
    "migrate",
    "norm_relu",
    "number_keys",
    "on_surfaces",
    "pack",
    "planes",
    "sample",
    "segment_bounds",
    "segment_mean",
    "superpoints",
    "threads",
    "turn",
    "voxel_keys",
    "weight_gradient",
]
