# SPDX-License-Identifier: Apache-2.0
"""A model of a few thousand weights."""

from sphmask_core.config import Config, ModelConfig

SMALL = Config(
    semantic_classes=("table", "object"),
    instance_classes=("object",),
    model=ModelConfig(channels=4, levels=2, query_dim=8, mask_dim=4),
)
