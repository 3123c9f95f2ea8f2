# SPDX-License-Identifier: Apache-2.0
"""Weights: our own (safetensors, with the configuration inside) and published ones (.pth)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sphmask_core.config import Config, from_dict, load_config, to_dict
from sphmask_core.model import SphericalMask

WEIGHTS_DIR = Path(__file__).parent / "weights"

DEAD = re.compile(r"(criterion|inst_mask_head_angular|inst_inside_mask|inside_mask_head|norm)\.")
"""Published keys that nothing in the output depends on."""

_BLOCK = [
    (r"\.blocks\.block(\d)\.", r".head.\1."),
    (r"\.blocks_tail\.block(\d)\.", r".tail.\1."),
    (r"\.conv_branch\.0\.", ".norm1."),
    (r"\.conv_branch\.2\.", ".conv1."),
    (r"\.conv_branch\.3\.", ".norm2."),
    (r"\.conv_branch\.5\.", ".conv2."),
    (r"\.i_branch\.0\.", ".shortcut."),
]
_UNET = [
    (r"^unet\.", "backbone.unet."),
    (r"(?<=\.)u\.", "inner."),
    (r"\.conv\.0\.", ".down_norm."),
    (r"\.conv\.2\.", ".down."),
    (r"\.deconv\.0\.", ".up_norm."),
    (r"\.deconv\.2\.", ".up."),
    (r"^input_conv\.0\.", "backbone.input."),
    (r"^output_layer\.0\.", "backbone.output_norm."),
]
_POINTWISE = [
    (r"^semantic_linear\.", "pointwise.semantic."),
    (r"^offset_linear\.", "pointwise.center."),
    (r"^offset_vertices_linear\.", "pointwise.corners."),
    (r"^box_conf_linear\.", "pointwise.box_confidence."),
]
_AGGREGATOR = [
    (r"^point_aggregator(\d)\.", r"aggregator\1."),
    (r"\.mlp_module1\.layer0\.conv\.", ".local.0."),
    (r"\.mlp_module1\.layer0\.bn\.bn\.", ".local.1."),
    (r"\.mlp_module1\.layer1\.conv\.", ".local.3."),
    (r"\.mlp_module1\.layer1\.bn\.bn\.", ".local.4."),
    (r"\.mlp_module2\.layer0\.conv\.", ".around.0."),
    (r"\.mlp_module2\.layer0\.bn\.bn\.", ".around.1."),
    (r"\.mlp_module3\.0\.conv\.", ".expand.0."),
    (r"\.mlp_module3\.0\.bn\.bn\.", ".expand.1."),
    (r"\.mlp_module3\.1\.conv\.", ".expand.3."),
    (r"\.mlp_module3\.1\.bn\.bn\.", ".expand.4."),
]
_QUERY = [
    (r"^inst_shared_mlp\.layers\.", "query_heads.shared."),
    (r"^inst_sem_head\.layers\.", "query_heads.classes."),
    (r"^inst_conf_head\.layers\.", "query_heads.confidence."),
    (r"^inst_box_head\.layers\.", "query_heads.box."),
    (r"^rid_module\.layers\.", "query_heads.rays."),
    (r"^inst_center_head\.layers\.", "query_heads.center."),
    (r"^inst_mask_head\.([01])\.0\.", lambda m: f"query_heads.controller.{3 * int(m[1])}."),
    (r"^inst_mask_head\.([01])\.1\.", lambda m: f"query_heads.controller.{3 * int(m[1]) + 1}."),
    (r"^inst_mask_head\.2\.", "query_heads.controller.6."),
    (r"^mask_tower\.3\.", "mask_tower.9."),
    (r"^mask_tower\.([0-2])\.0\.", lambda m: f"mask_tower.{3 * int(m[1])}."),
    (r"^mask_tower\.([0-2])\.1\.", lambda m: f"mask_tower.{3 * int(m[1]) + 1}."),
]


class CheckpointError(ValueError):
    """Weights that cannot be used; the message is one line that names the file, the key and what would do."""


def our_name(published: str) -> str | None:
    """Our name of a published parameter; None for dead weights."""
    if DEAD.match(published):
        return None
    for pattern, name in [*_UNET, *_BLOCK, *_POINTWISE, *_AGGREGATOR, *_QUERY]:
        published = re.sub(pattern, name, published)
    return published


def import_published(net: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a published state dict; 1x1 convolutions of rows become matrices."""
    renamed = {our_name(key): value for key, value in net.items()}
    return {key: _as_matrix(key, value) for key, value in renamed.items() if key is not None}


def _as_matrix(key: str, value: Tensor) -> Tensor:
    """Weights (out, in, 1[, 1]) of a 1x1 convolution -> (out, in)."""
    return value if key.startswith("backbone.") or value.dim() < 3 else value.flatten(1)


def read_published(path: str | Path) -> dict[str, Tensor]:
    """State dict of a published checkpoint {"net": ..., "epoch": ...}, under our names."""
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or not isinstance(content.get("net"), dict):
        raise CheckpointError(f'{path}: not a published checkpoint: it has no state dict under "net"')
    return import_published(content["net"])


def load_state(model: SphericalMask, state: dict[str, Tensor], source: str | Path) -> None:
    """Copy `state` into the model; a missing, unknown or misshapen key is an error that names it."""
    wanted = {
        key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    for key, value in wanted.items():
        if key not in state:
            raise CheckpointError(f"{source}: no weight {key}; does the configuration fit these weights?")
        if state[key].shape != value.shape:
            found, expected = tuple(state[key].shape), tuple(value.shape)
            raise CheckpointError(f"{source}: {key} has shape {found}, the configuration asks for {expected}")
    unknown = [key for key in state if key not in wanted and not key.endswith("num_batches_tracked")]
    if unknown:
        raise CheckpointError(
            f"{source}: unknown weight {unknown[0]}; does the configuration fit these weights?"
        )
    model.load_state_dict(state, strict=False)


def save_weights(path: str | Path, model: SphericalMask, config: Config) -> None:
    """Write weights and configuration as safetensors; the file appears whole or not at all."""
    path = Path(path)
    state = {key: value.contiguous().cpu() for key, value in model.state_dict().items()}
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    partial = path.with_suffix(".partial")
    save_file(state, partial, metadata={"config": json.dumps(to_dict(config))})
    os.replace(partial, path)


def load_model(source: str | Path, config: str | Path | None = None) -> SphericalMask:
    """A model in eval mode from a preset's name, own weights, or published ones with a configuration."""
    path = _find(source)
    if path.suffix == ".pth":
        if config is None:
            raise CheckpointError(f"{path}: a published checkpoint needs the name of its configuration")
        model = SphericalMask(load_config(config))
        load_state(model, read_published(path), path)
    else:
        state, stored = read_weights(path)
        model = SphericalMask(stored)
        load_state(model, state, path)
    return model.eval()


def read_weights(path: Path) -> tuple[dict[str, Tensor], Config]:
    """Weights and the configuration stored beside them."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from None
    if "config" not in metadata:
        raise CheckpointError(f"{path}: no configuration inside; convert the weights with `sphmask convert`")
    return state, from_dict(json.loads(metadata["config"]))


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    preset = WEIGHTS_DIR / f"{source}.safetensors"
    if preset.is_file():
        return preset
    shipped = ", ".join(sorted(p.stem for p in WEIGHTS_DIR.glob("*.safetensors"))) or "none"
    raise CheckpointError(f"{source}: no such weights; give a file or a shipped preset ({shipped})")
