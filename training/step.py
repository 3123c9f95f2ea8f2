# SPDX-License-Identifier: Apache-2.0
"""One batch through the network: its loss by terms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from sphmask_core.config import Config, ConfigError
from sphmask_core.method.encoding import Predictions
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.query_heads import QueryPredictions

from .losses import Criterion, Terms, enough_foreground
from .scene import Batch
from .targets import build_targets
from .teacher import Teacher

Heads = TypeVar("Heads", PointwisePredictions, QueryPredictions)


def batch_terms(
    model: SphericalMask,
    criterion: Criterion,
    batch: Batch,
    config: Config,
    pointwise_only: bool,
    teacher: Teacher | None = None,
) -> Terms:
    """Returns the weighted terms of the loss of a batch that is on the model's device."""
    device, mixed = batch.semantic.device.type, config.train.precision == "bfloat16"
    with torch.autocast(device, torch.bfloat16, enabled=mixed):
        predictions = model(batch.voxels, pointwise_only, enough_foreground)
    targets = build_targets(
        batch.voxels, batch.semantic, batch.instance, config.class_shift, config.model.rays
    )
    if mixed:
        predictions = in_float32(predictions)
    terms = criterion(predictions, batch.voxels, targets)
    if teacher is not None:
        terms["features"] = teacher.term(predictions.encoding.features, batch.voxels)
    return terms


def check_precision(config: Config, device: torch.device) -> None:
    """Raise ConfigError where the device cannot train in the precision asked for."""
    if config.train.precision != "float32" and device.type != "cuda":
        raise ConfigError(
            f"train.precision: {config.train.precision} needs CUDA; on the {device} use float32"
        )


def in_float32(predictions: Predictions) -> Predictions:
    """Returns what the heads say, in float32."""
    queries = None if predictions.queries is None else _float32(predictions.queries)
    encoding = replace(predictions.encoding, pointwise=_float32(predictions.encoding.pointwise))
    return replace(predictions, encoding=encoding, queries=queries)


def _float32(heads: Heads) -> Heads:
    floats: dict[str, Any] = {
        name: value.float()
        for name, value in vars(heads).items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    return replace(heads, **floats)
