# SPDX-License-Identifier: Apache-2.0
"""Typed configuration: the single source of every default; config/*.yaml are the presets."""

from sphmask_core.config.method import MOST_TURNS, InferenceConfig, ModelConfig, SuperpointConfig
from sphmask_core.config.overrides import override
from sphmask_core.config.preset import Config
from sphmask_core.config.ranges import ConfigError
from sphmask_core.config.reading import PRESET_DIR, from_dict, load_config, preset_names, to_dict
from sphmask_core.config.training import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    FieldsConfig,
    LossConfig,
    MatchingConfig,
    OptimizerConfig,
    S3disConfig,
    TabletopConfig,
    TrainConfig,
)

__all__ = [
    "MOST_TURNS",
    "PRESET_DIR",
    "AugmentConfig",
    "BackboneConfig",
    "Config",
    "ConfigError",
    "DataConfig",
    "FieldsConfig",
    "InferenceConfig",
    "LossConfig",
    "MatchingConfig",
    "ModelConfig",
    "OptimizerConfig",
    "S3disConfig",
    "SuperpointConfig",
    "TabletopConfig",
    "TrainConfig",
    "from_dict",
    "load_config",
    "override",
    "preset_names",
    "to_dict",
]
