# SPDX-License-Identifier: Apache-2.0
"""Assigns queries to instances, one to one, at the least cost (docs/model.md, section 10)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from .boxes import box_iou

CLASS_COST, CONFIDENCE_COST, GIOU_COST = 0.5, 0.2, 0.2


@dataclass(frozen=True)
class Match:
    """Pairs of a query and the instance that it answers for, in one scene."""

    queries: Tensor
    """(P,) int64 query of each pair, no query twice."""
    instances: Tensor
    """(P,) int64 instance of each pair."""


@torch.no_grad()
def matching_cost(
    class_logits: Tensor, confidence: Tensor, boxes: Tensor, class_ids: Tensor, target_boxes: Tensor
) -> Tensor:
    """(Q, G) cost of each pair.

    class_logits (Q, K + 1), confidence (Q,), boxes (Q, 6) of queries; class_ids (G,), target_boxes (G, 6).
    """
    probability = class_logits.softmax(1)[:, class_ids]
    giou = box_iou(boxes[:, None], target_boxes[None])[1]
    return -CLASS_COST * probability - CONFIDENCE_COST * confidence[:, None] - GIOU_COST * giou


def match(cost: Tensor, repeats: int = 1) -> Match:
    """The assignment of least cost (Q, G), every instance standing for `repeats` of its kind."""
    rows, columns = linear_sum_assignment(cost.repeat(1, repeats).cpu().numpy())
    return Match(
        torch.as_tensor(rows, device=cost.device),
        torch.as_tensor(columns % max(cost.shape[1], 1), device=cost.device),
    )
