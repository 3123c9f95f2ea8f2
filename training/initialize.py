# SPDX-License-Identifier: Apache-2.0
"""Initial weights from which masks start to learn at once (docs/model.md, section 12).

With torch's own initial weights the masks stay empty for hundreds of steps: each query's network must find
out that near superpoints with a box like its own belong to it. So the controller's last layer starts with
biases that say just that, delta = slope * (radius - |q - p_s|_1 - |b_q - b_s|_1 / 2), and small weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

import torch
from torch import Tensor, nn

from sphmask_core.checkpoints.convert import OWN, SHARED
from sphmask_core.checkpoints.weights import read_state
from sphmask_core.config import Config, ConfigError
from sphmask_core.method.migration import migration_layers
from sphmask_core.method.model import SphericalMask

CONTROLLER_SCALE = 0.3
"""Factor on the controller's last weights."""
SIZE, RADIUS = 6, 7
"""Hidden units of the prior for the difference of the boxes and for the radius; those before them are for the
difference of the places, two for each axis, one of either sign."""
PRIOR_TERMS = 8
"""Hidden units that the first masks take; narrower networks start without them."""


def initialize(model: SphericalMask, config: Config) -> str:
    """Set the first weights: random ones with a prior on masks and rays, then those of `train.init`.

    Returns what was taken of the latter, in words.
    """
    set_prior(model, config)
    source = config.train.init
    return f"train.init: {source}: {take(model, read_state(source), source)}" if source else ""


def take(model: SphericalMask, state: dict[str, Tensor], source: str) -> str:
    """Copies every tensor that the model has in the same shape. Returns in words what was taken and what was
    not.

    Of ISBNet's checkpoints it takes only what means the same there.
    """
    state, own = _counted(state), _counted(model.state_dict())
    shared = ("",) if any(key.startswith(OWN) for key in state) else SHARED
    taken = {
        key: value
        for key, value in state.items()
        if key.startswith(shared) and key in own and value.shape == own[key].shape
    }
    if not taken:
        raise ConfigError(f"train.init: {source}: none of its tensors fits the model; start without it")
    model.load_state_dict(taken, strict=False)
    summary = f"{len(taken)} of {len(own)} tensors taken"
    anew, unused = modules_of(own.keys() - taken.keys(), own), modules_of(state.keys() - own.keys(), state)
    summary += f"; anew: {', '.join(anew)}" if anew else ""
    return summary + (f"; unknown: {', '.join(unused)}" if unused else "")


def modules_of(chosen: Set[str], keys: Iterable[str]) -> list[str]:
    """Returns the names of the largest modules of which every key is chosen; and chosen keys of no such
    module."""
    others = [key + "." for key in keys if key not in chosen]
    modules = set()
    for key in chosen:
        parts = key.split(".")
        prefixes = (".".join(parts[:n]) for n in range(1, len(parts) + 1))
        modules.add(next(p for p in prefixes if not any(other.startswith(p + ".") for other in others)))
    return sorted(modules)


def set_prior(model: SphericalMask, config: Config) -> None:
    """Let masks start as near superpoints with boxes like the query's, and rays with their usual length."""
    controller, rays = model.query_heads.controller[-1], model.query_heads.rays[-1]
    assert isinstance(controller, (nn.Linear, nn.Conv1d)) and isinstance(rays, (nn.Linear, nn.Conv1d))
    assert controller.bias is not None and rays.bias is not None
    slope, radius = config.train.prior_slope, config.train.prior_radius
    if not slope:
        return
    with torch.no_grad():
        rays.bias.fill_(radius)
        if config.model.mask_dim >= PRIOR_TERMS:
            controller.weight.mul_(CONTROLLER_SCALE)
            prior = mask_prior(slope, radius, config.model.mask_dim, config.model.migration_layers)
            controller.bias.add_(prior)


def _counted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def mask_prior(slope: float, radius: float, mask_dim: int, num_layers: int = 2) -> Tensor:
    """Returns (P,) parameters of a migration network: high near the query, where boxes are like its own.

    The first layer holds the terms, a middle one hands them on, the last adds them up.
    """
    layers = [torch.zeros(shape) for shape in migration_layers(mask_dim, num_layers)]
    biases = [torch.zeros(layer.shape[1]) for layer in layers]
    w1, b1 = layers[0], biases[0]
    for axis in range(3):
        w1[axis, 2 * axis], w1[axis, 2 * axis + 1] = 1, -1
    w1[3:6, SIZE] = 0.5
    b1[RADIUS] = radius
    for middle in layers[1:-1]:
        middle.fill_diagonal_(1)
    layers[-1][:PRIOR_TERMS, 0] = slope * torch.tensor([-1.0] * RADIUS + [1.0])
    return torch.cat([layer.flatten() for layer in (*layers, *biases)])
