# SPDX-License-Identifier: Apache-2.0
"""Names and shapes of published checkpoints, and what they are called here."""

from __future__ import annotations

import re

from torch import Tensor

DEAD = re.compile(r"(criterion|inst_mask_head_angular|inst_inside_mask|inside_mask_head|norm)\.")
"""Published parameters that nothing in the output depends on."""

RENAMES = [
    # U-Net
    (r"^unet\.", "backbone.unet."),
    (r"(?<=\.)u\.", "inner."),
    (r"\.conv\.0\.", ".down_norm."),
    (r"\.conv\.2\.", ".down."),
    (r"\.deconv\.0\.", ".up_norm."),
    (r"\.deconv\.2\.", ".up."),
    (r"^input_conv\.0\.", "backbone.input."),
    (r"^output_layer\.0\.", "backbone.output_norm."),
    # residual blocks
    (r"\.blocks\.block(\d)\.", r".head.\1."),
    (r"\.blocks_tail\.block(\d)\.", r".tail.\1."),
    (r"\.conv_branch\.0\.", ".norm1."),
    (r"\.conv_branch\.2\.", ".conv1."),
    (r"\.conv_branch\.3\.", ".norm2."),
    (r"\.conv_branch\.5\.", ".conv2."),
    (r"\.i_branch\.0\.", ".shortcut."),
    # point-wise heads
    (r"^semantic_linear\.", "pointwise.semantic."),
    (r"^offset_linear\.", "pointwise.center."),
    (r"^offset_vertices_linear\.", "pointwise.corners."),
    (r"^box_conf_linear\.", "pointwise.box_confidence."),
    # local aggregators
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
    # query heads
    (r"^inst_shared_mlp\.layers\.", "query_heads.shared."),
    (r"^inst_sem_head\.layers\.", "query_heads.classes."),
    (r"^inst_conf_head\.layers\.", "query_heads.confidence."),
    (r"^inst_box_head\.layers\.", "query_heads.box."),
    (r"^rid_module\.layers\.", "query_heads.rays."),
    (r"^inst_center_head\.layers\.", "query_heads.center."),
    (r"^inst_mask_head\.0\.", "query_heads.controller."),
    (r"^inst_mask_head\.1\.0\.", "query_heads.controller.3."),
    (r"^inst_mask_head\.1\.1\.", "query_heads.controller.4."),
    (r"^inst_mask_head\.2\.", "query_heads.controller.6."),
    # mask features
    (r"^mask_tower\.3\.", "mask_tower.9."),
    (r"^mask_tower\.2\.0\.", "mask_tower.6."),
    (r"^mask_tower\.2\.1\.", "mask_tower.7."),
    (r"^mask_tower\.1\.0\.", "mask_tower.3."),
    (r"^mask_tower\.1\.1\.", "mask_tower.4."),
    (r"^mask_tower\.0\.", "mask_tower."),
]
"""Patterns and what stands in their place, applied one after the other."""


def our_name(published: str) -> str | None:
    """Returns our name of a published parameter; None for dead weights."""
    if DEAD.match(published):
        return None
    for pattern, name in RENAMES:
        published = re.sub(pattern, name, published)
    return published


def import_published(net: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns a published state dict under our names; 1x1 convolutions of rows become matrices."""
    renamed = {our_name(key): value for key, value in net.items()}
    return {key: _as_matrix(key, value) for key, value in renamed.items() if key is not None}


def _as_matrix(key: str, value: Tensor) -> Tensor:
    """Returns weights (out, in, 1[, 1]) of a 1x1 convolution as (out, in)."""
    return value if key.startswith("backbone.") or value.dim() < 3 else value.flatten(1)
