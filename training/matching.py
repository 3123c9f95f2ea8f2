# SPDX-License-Identifier: Apache-2.0
"""Assigns queries to instances, one to one, at the least cost (docs/model.md, section 10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from sphmask_core.config import MatchingConfig

from .boxes import box_iou


@dataclass(frozen=True)
class Match:
    """Holds pairs of a query and the instance that it answers for, in one scene."""

    queries: Tensor
    """(P,) int64 query of each pair, no query twice."""
    instances: Tensor
    """(P,) int64 instance of each pair."""


@torch.no_grad()
def matching_cost(
    class_logits: Tensor,
    confidence: Tensor,
    boxes: Tensor,
    class_ids: Tensor,
    target_boxes: Tensor,
    config: MatchingConfig,
) -> Tensor:
    """Returns (Q, G) cost of each pair, without that of the masks.

    class_logits (Q, K + 1), confidence (Q,), boxes (Q, 6) of queries; class_ids (G,), target_boxes (G, 6).
    """
    probability = class_logits.softmax(1)[:, class_ids]
    giou = box_iou(boxes[:, None], target_boxes[None])[1]
    cost = config.classification * probability + config.confidence * confidence[:, None] + config.giou * giou
    return -cost


@torch.no_grad()
def mask_cost(delta: Tensor, masks: Tensor, config: MatchingConfig) -> Tensor:
    """Returns (Q, G) cost of the masks of each pair: delta (Q, S) migrations, as logits, masks (G, S) of 0
    and 1."""
    p = delta.sigmoid()
    dice = 1 - (2 * p @ masks.T + 1) / (p.sum(1, keepdim=True) + masks.sum(1) + 1)
    inside, outside = F.softplus(-delta), F.softplus(delta)
    bce = (inside @ masks.T + outside @ (1 - masks).T) / max(delta.shape[1], 1)
    return config.dice * dice + config.bce * bce


def match(cost: Tensor, repeats: int = 1) -> Match:
    """Returns the assignment of least cost (Q, G), every instance standing for `repeats` of its kind."""
    rows, columns = linear_sum_assignment(cost.repeat(1, repeats).cpu().numpy())
    return Match(
        torch.as_tensor(rows, device=cost.device),
        torch.as_tensor(columns % max(cost.shape[1], 1), device=cost.device),
    )
