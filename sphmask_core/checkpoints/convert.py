# SPDX-License-Identifier: Apache-2.0
"""Published checkpoints to our own weights: Spherical Mask's whole, of ISBNet's what is the same."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sphmask_core.checkpoints.weights import CheckpointError, load_state, read_published, save_weights
from sphmask_core.config import load_config
from sphmask_core.method.model import SphericalMask

OWN = "query_heads.rays."
"""Weights that only Spherical Mask has, not ISBNet."""
SHARED = ("backbone.", "pointwise.")
"""Weights that mean the same in ISBNet."""


def convert(source: Path, config_name: str, target: Path, half: bool) -> str:
    """Write the weights of a published checkpoint with their configuration; returns one line that says what.

    Float32 unless `half`. What an ISBNet checkpoint lacks is random, by a fixed seed.
    """
    if not source.is_file():
        raise CheckpointError(f"{source}: no such file; give a published checkpoint (.pth)")
    if target.suffix != ".safetensors":
        raise CheckpointError(f"{target}: weights are written as .safetensors")
    config = load_config(config_name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SphericalMask(config)
    state = {
        key: value for key, value in read_published(source).items() if not key.endswith("num_batches_tracked")
    }
    if any(key.startswith(OWN) for key in state):
        load_state(model, state, source)
        summary = f"all {len(state)} tensors taken"
    else:
        summary = _take_shared(model, state, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(target, model, config, half)
    return f"{target}: {config.name}, {summary}"


def _take_shared(model: SphericalMask, state: dict[str, Tensor], source: Path) -> str:
    """Copy backbone and point-wise heads; the model keeps the rest of its own weights."""
    taken = {key: value for key, value in state.items() if key.startswith(SHARED)}
    own = {key: value for key, value in model.state_dict().items() if not key.startswith(SHARED)}
    load_state(model, {**own, **taken}, source)
    unused = [key for key in state if key not in taken]
    modules = sorted({key.split(".")[0] for key in unused})
    names = f": {', '.join(modules)}" if modules else ""
    return (
        f"{len(taken)} tensors of backbone and point-wise heads taken as an ISBNet checkpoint's, "
        f"{len(unused)} not used{names}; all other weights are random and must be trained"
    )
