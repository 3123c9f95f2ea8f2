# SPDX-License-Identifier: Apache-2.0
"""Checkpoints as the published code names and shapes them, made from a model of ours.

The tables of `sphmask_core.checkpoints.published` are read here the other way round and written anew, so that
neither can be wrong alone.
"""

import re

import torch

UNET = {
    "inner": "u", "down_norm": "conv.0", "down": "conv.2", "up_norm": "deconv.0", "up": "deconv.2",
    "head.0": "blocks.block0", "head.1": "blocks.block1",
    "tail.0": "blocks_tail.block0", "tail.1": "blocks_tail.block1",
    "norm1": "conv_branch.0", "conv1": "conv_branch.2", "norm2": "conv_branch.3", "conv2": "conv_branch.5",
    "shortcut": "i_branch.0",
}  # fmt: skip
AGGREGATOR = {
    "local.0": "mlp_module1.layer0.conv", "local.1": "mlp_module1.layer0.bn.bn",
    "local.3": "mlp_module1.layer1.conv", "local.4": "mlp_module1.layer1.bn.bn",
    "around.0": "mlp_module2.layer0.conv", "around.1": "mlp_module2.layer0.bn.bn",
    "expand.0": "mlp_module3.0.conv", "expand.1": "mlp_module3.0.bn.bn",
    "expand.3": "mlp_module3.1.conv", "expand.4": "mlp_module3.1.bn.bn",
}  # fmt: skip
TOWER = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2.0", "7": "2.1", "9": "3"}
CONTROLLER = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2"}
HEADS = {
    "backbone.input": "input_conv.0",
    "backbone.output_norm": "output_layer.0",
    "pointwise.semantic": "semantic_linear",
    "pointwise.center": "offset_linear",
    "pointwise.corners": "offset_vertices_linear",
    "pointwise.box_confidence": "box_conf_linear",
    "query_heads.shared": "inst_shared_mlp.layers",
    "query_heads.classes": "inst_sem_head.layers",
    "query_heads.confidence": "inst_conf_head.layers",
    "query_heads.box": "inst_box_head.layers",
    "query_heads.rays": "rid_module.layers",
    "query_heads.center": "inst_center_head.layers",
}
DEAD = {"criterion.empty_weight": (19,), "norm.weight": (16,), "inst_mask_head_angular.2.bias": (32,)}
"""Some of what published checkpoints hold beside the weights of the output, and its shapes."""


def published_name(ours):
    """The published name of a parameter or buffer."""
    head, _, rest = ours.partition(".")
    if ours.startswith("backbone.unet."):
        return "unet." + _renamed(ours.removeprefix("backbone.unet."), UNET)
    if head.startswith("aggregator"):
        return f"point_{head}." + _renamed(rest, AGGREGATOR)
    if head == "mask_tower":
        number, _, last = rest.partition(".")
        return f"mask_tower.{TOWER[number]}.{last}"
    if ours.startswith("query_heads.controller."):
        number, _, last = rest.removeprefix("controller.").partition(".")
        return f"inst_mask_head.{CONTROLLER[number]}.{last}"
    module = ".".join(ours.split(".")[:2])
    return HEADS[module] + ours.removeprefix(module)


def _renamed(name, table):
    names = "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))
    return re.sub(rf"(?<![\w.])({names})(?=\.)|(?<=\.)({names})(?=\.)", lambda m: table[m[0]], name)


def published_state(model):
    """State dict of the model as a published checkpoint has it, with some of its dead weights."""
    state = {}
    for key, value in model.state_dict().items():
        name = published_name(key)
        if value.dim() == 2 and "_linear." not in name:  # 1x1 convolutions over one axis or two
            two_axes = re.search(r"mlp_module[12]", name)
            value = value[..., None, None] if two_axes else value[..., None]
        state[name] = value
    return state | {name: torch.zeros(shape) for name, shape in DEAD.items()}


def save_published(path, model):
    torch.save({"net": published_state(model), "epoch": 1}, path)
