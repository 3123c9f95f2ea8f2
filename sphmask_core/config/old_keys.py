# SPDX-License-Identifier: Apache-2.0
"""Keys of earlier versions, still read from weights and YAML."""

from __future__ import annotations

import copy
from typing import Any

from sphmask_core.config.ranges import ConfigError

RENAMED = {
    "fields": "data.fields",
    "inference.filter_bg_thresh": "inference.foreground_threshold",
    "inference.npoint_thresh": "inference.min_points",
    "inference.sem2ins_classes": "inference.whole_classes",
    "inference.type_nms": "inference.nms",
    "model.dec_dim": "model.query_dim",
    "model.n_queries": "train.queries",
    "model.n_sample_pa1": "model.seeds",
    "model.neighbor": "model.neighbors",
    "model.num_blocks": "model.levels",
    "model.num_dyco_layer": "model.migration_layers",
    "model.use_spp_pool": "model.use_superpoints",
    "train.area": "data.s3dis.area",
    "train.augment": "augment",
    "train.backbone_epochs": "train.backbone.epochs",
    "train.class_weights": "loss.class_weights",
    "train.dataset": "data.dataset",
    "train.hold_out": "data.tabletop.hold_out",
    "train.mixed": "data.tabletop.mixed",
    "train.pointwise_weight": "loss.pointwise",
    "train.quality_weight": "loss.quality",
    "train.real_repeats": "data.tabletop.real_repeats",
    "train.root": "data.root",
    "train.simulated": "data.tabletop.simulated",
    "train.weight_decay": "train.optimizer.weight_decay",
}
"""Path of a key -> its path today."""
COMPAT = "inference.compat"
"""Once chose defects of the published code, which no longer are a setting."""


def current_path(path: str) -> str:
    """Returns today's path of a key, or of a key below a section that has moved."""
    for old, new in RENAMED.items():
        if path == old or path.startswith(old + "."):
            return new + path[len(old) :]
    return path


def modernize(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the same nested values under today's keys; raises ConfigError where an old and a new key
    disagree."""
    values = copy.deepcopy(values)
    for old, new in RENAMED.items():
        _move(values, old, new)
    _drop_compat(values)
    _weigh_agreement(values)
    return values


def _move(values: dict[str, Any], old: str, new: str) -> None:
    """Move the value at path `old`, where there is one, to path `new`."""
    *parents, key = old.split(".")
    section = _section(values, parents)
    if section is None or key not in section:
        return
    value = section.pop(key)
    *parents, key = new.split(".")
    target: Any = values
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            raise ConfigError(f"{parent}: expected a mapping")
    if key in target and target[key] != value:
        raise ConfigError(f"{old}: is {new} today, and both are given; keep {new}")
    target[key] = value


def _section(values: dict[str, Any], parents: list[str]) -> dict[str, Any] | None:
    """Returns the mapping at a path, or None."""
    section: Any = values
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else None


def _drop_compat(values: dict[str, Any]) -> None:
    section = _section(values, ["inference"]) or {}
    if section.pop("compat", "corrected") != "corrected":
        raise ConfigError(f"{COMPAT}: is no setting any more; the code is free of the published defects")


def _weigh_agreement(values: dict[str, Any]) -> None:
    """Make a number of `inference.agreement`, which once was true or false."""
    section = _section(values, ["inference"]) or {}
    if isinstance(section.get("agreement"), bool):
        section["agreement"] = float(section["agreement"])
