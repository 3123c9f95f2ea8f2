# SPDX-License-Identifier: Apache-2.0
"""Weights: our own (safetensors, with the configuration inside) and published ones (.pth)."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sphmask_core.checkpoints.published import import_published
from sphmask_core.config import Config, from_dict, load_config, to_dict
from sphmask_core.method.backbone import check_known
from sphmask_core.method.model import SphericalMask
from sphmask_core.runtime.files import replacing

READABLE = 0o644
"""Permissions of weights that we write: everybody may read them."""
WEIGHTS_DIR = Path(__file__).parent.parent / "weights"


class CheckpointError(ValueError):
    """Says in one line which weights cannot be used, which key is wrong, and what would do."""


def read_published(path: str | Path) -> dict[str, Tensor]:
    """Returns the state dict of a published checkpoint {"net": ..., "epoch": ...}, under our names."""
    try:
        Path(path).open("rb").close()  # what is wrong with the file itself is said as it is
        with warnings.catch_warnings():  # of pickles that are none of ours, beside the one line that we say
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # of an unpickler of untrusted bytes: KeyError, AttributeError, EOFError, ...
        raise CheckpointError(f"{path}: not a torch file of plain tensors ({type(error).__name__})") from None
    if not isinstance(content, dict) or not isinstance(content.get("net"), dict):
        raise CheckpointError(f'{path}: not a published checkpoint: it has no state dict under "net"')
    state = content["net"]
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()):
        raise CheckpointError(f'{path}: not a published checkpoint: "net" holds other things than tensors')
    return import_published(state)


def load_state(model: SphericalMask, state: dict[str, Tensor], source: str | Path) -> None:
    """Copy `state` into the model; a missing, unknown or misshapen key is an error that names it."""
    wanted = {
        key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")
    }
    for key, value in wanted.items():
        if key not in state:
            raise CheckpointError(f"{source}: no weight {key}; does the configuration fit these weights?")
        if state[key].shape != value.shape:
            shape, expected = tuple(state[key].shape), tuple(value.shape)
            raise CheckpointError(f"{source}: {key} has shape {shape}, the configuration asks for {expected}")
    unknown = [key for key in state if key not in wanted and not key.endswith("num_batches_tracked")]
    if unknown:
        raise CheckpointError(
            f"{source}: unknown weight {unknown[0]}; does the configuration fit these weights?"
        )
    model.load_state_dict(state, strict=False)


def save_weights(path: str | Path, model: SphericalMask, config: Config, half: bool = False) -> None:
    """Write weights and configuration as safetensors; the file appears whole or not at all.

    `half` stores matrices and kernels as float16, half the size; norms and biases stay float32.
    """
    state = {
        key: (value.half() if half and value.dim() > 1 else value).contiguous().cpu()
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    with replacing(Path(path)) as partial:
        save_file(state, partial, metadata={"config": json.dumps(to_dict(config))})
        partial.chmod(READABLE)  # save_file lets nobody else read them


def load_model(source: str | Path, config: str | Path | None = None) -> SphericalMask:
    """Returns a model in eval mode from a preset's name, own weights, or published ones with a
    configuration."""
    path = _find(source)
    if path.suffix == ".pth":
        if config is None:
            raise CheckpointError(
                f"{path}: a published checkpoint; turn it into weights with `sphmask convert`"
            )
        model = SphericalMask(load_config(config))
        load_state(model, read_published(path), path)
    else:
        state, stored = read_weights(path)
        model = SphericalMask(stored)
        load_state(model, state, path)
    return model.eval()


def read_state(source: str | Path) -> dict[str, Tensor]:
    """Returns the state dict of a preset's name, own weights, or a published checkpoint (.pth), under our
    names."""
    path = _find(source)
    return read_published(path) if path.suffix == ".pth" else read_weights(path)[0]


def read_weights(path: Path) -> tuple[dict[str, Tensor], Config]:
    """Returns the weights and the configuration stored beside them."""
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except (SafetensorError, OSError) as error:  # such as a file of /proc, which cannot be mapped
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from None
    if "config" not in metadata:
        raise CheckpointError(f"{path}: no configuration inside; convert the weights with `sphmask convert`")
    try:
        config = from_dict(json.loads(metadata["config"]))
        check_known(config.model)
        return state, config
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the configuration inside cannot be used ({error})") from None


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.is_file():
        return path
    preset = WEIGHTS_DIR / f"{source}.safetensors"
    if preset.is_file():
        return preset
    shipped = ", ".join(sorted(p.stem for p in WEIGHTS_DIR.glob("*.safetensors"))) or "none"
    raise CheckpointError(f"{source}: no such weights; give a file or a shipped preset ({shipped})")
