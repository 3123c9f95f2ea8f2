# SPDX-License-Identifier: Apache-2.0
"""The configuration of a model of a few thousand weights; tests replace in it what matters to them."""

from sphmask_core.config import Config, ModelConfig

SMALL = Config(
    name="small",
    semantic_classes=("table", "object"),
    instance_classes=("object",),
    model=ModelConfig(channels=4, levels=2, query_dim=8, mask_dim=4, seeds=16, neighbors=4),
)
