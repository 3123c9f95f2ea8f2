# SPDX-License-Identifier: Apache-2.0
"""Radial point migration on the CPU, for inference: nothing of size Q x S is kept but the result."""

from __future__ import annotations

import torch
from torch import Tensor

from . import native


def migrate_fused(
    parameters: Tensor,
    query_xyz: Tensor,
    query_sizes: Tensor,
    sp_xyz: Tensor,
    sp_sizes: Tensor,
    features: Tensor,
    num_layers: int,
) -> Tensor:
    """Migration (Q, S) of superpoints by networks `parameters` (Q, P) of two or three layers; no gradient.

    query_xyz, query_sizes (Q, 3); sp_xyz, sp_sizes (S, 3), sizes being those of boxes; features (S, M); all
    float32 on the CPU.
    """
    arrays = [
        array.contiguous() for array in (parameters, query_xyz, query_sizes, sp_xyz, sp_sizes, features)
    ]
    out = torch.empty(len(query_xyz), len(sp_xyz))
    native.migrate(*arrays, out, num_layers)
    return out
