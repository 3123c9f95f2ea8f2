# SPDX-License-Identifier: Apache-2.0
"""Every term of the training loss (docs/model.md, section 10), weighted, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from sphmask_core.config import Config, LossConfig
from sphmask_core.method.boxes import boxes_around
from sphmask_core.method.candidates import assemble_masks, mask_iou
from sphmask_core.method.encoding import Predictions, SuperpointTable
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.query_heads import QueryPredictions
from sphmask_core.method.spherical import sectors
from sphmask_core.method.voxels import VoxelBatch, superpoint_sizes

from .boxes import EPSILON, box_iou
from .distributed import total, world_size
from .matching import Match, mask_cost, match, matching_cost
from .targets import IGNORE, InstanceTargets, Targets

MASK_TERMS = ("dice", "bce", "focal")
QUERY_TERMS = (*MASK_TERMS, "classification", "confidence", "box", "giou", "radial")
"""Terms of matched queries that `LossConfig` weighs under their own names; "margin" has two weights."""
MIN_FOREGROUND = 100
"""Foreground voxels of a batch: with so many or fewer there are no queries."""
PUBLISHED_SCALE = 50
"""Voxels of a model unit for which the published weights of the box losses were chosen."""

Terms = dict[str, Tensor]


class Criterion:
    """Computes the training loss: a sum of named, weighted terms."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.box_weight = config.model.voxel_scale / PUBLISHED_SCALE
        weights = config.loss.class_weights or (1.0,) * len(config.semantic_classes)
        self.class_weights = torch.tensor(weights)
        self.query_weights = torch.tensor((*weights[config.class_shift :], config.loss.none_weight))
        """Weights of the classes with instances, and of "none"."""
        self.names = [name for name in QUERY_TERMS if getattr(config.loss, name)]
        self.names += ["margin"] if config.loss.correction or config.loss.cohesion else []

    def __call__(self, predictions: Predictions, voxels: VoxelBatch, targets: Targets) -> Terms:
        """Returns weighted scalar terms; their sum is the loss."""
        terms = self.pointwise(predictions.encoding.pointwise, voxels.xyz, targets)
        if predictions.queries is not None:
            targets = on_chosen(targets, predictions.encoding.superpoints, voxels)
            terms |= self.queries(predictions, predictions.queries, targets)
            if self.config.loss.quality:
                terms["quality"] = self.quality(predictions, predictions.queries, voxels, targets)
        return terms

    def pointwise(self, predicted: PointwisePredictions, xyz: Tensor, targets: Targets) -> Terms:
        """Returns the terms of the point-wise heads, over the V voxels at xyz (V, 3)."""
        terms = {"semantic": semantic_loss(predicted.semantic_logits, targets.semantic, self.class_weights)}
        inside = targets.instance != IGNORE
        count = total(inside.sum()).clamp(min=1)
        owner, xyz = targets.instance[inside], xyz[inside]
        corners, boxes = predicted.corner_offsets[inside], targets.boxes[owner]
        iou, giou = box_iou(boxes_around(xyz, corners), boxes)
        center_error = predicted.center_offsets[inside] - (targets.centers[owner] - xyz)
        corner_error = corners - (boxes - xyz.repeat(1, 2))
        terms["center_offset"] = center_error.abs().sum() / count * self.box_weight
        terms["corner_offset"] = corner_error.abs().sum() / count * self.box_weight
        terms["box_giou"] = (1 - giou).sum() / count
        terms["box_confidence"] = (predicted.box_confidence[inside] - iou.detach()).square().sum() / count
        return {f"point_{name}": self.config.loss.pointwise * term for name, term in terms.items()}

    def queries(self, predictions: Predictions, queries: QueryPredictions, targets: Targets) -> Terms:
        """Returns the terms of the matched queries, averaged over the scenes of the batch.

        Every output has a gradient, if only zero: going back through batch norm takes all processes.
        """
        outputs = [*queries.migration, queries.class_logits, queries.confidence]
        outputs += [queries.boxes, queries.rays, queries.centers]
        zero = torch.stack([output.sum() for output in outputs]).sum() * 0
        auxiliary = [f"aux_{name}" for name in self.names] if self.config.loss.auxiliary else []
        terms = dict.fromkeys([*self.names, *auxiliary], zero)
        superpoints = predictions.encoding.superpoints
        offsets = superpoints.offsets
        for b, scene in enumerate(targets.scenes):
            if not len(scene) or not queries.active[b]:
                continue
            xyz = superpoints.xyz[offsets[b] : offsets[b + 1]]
            for name, term in self.scene(queries, b, xyz, scene).items():
                terms[name] = terms[name] + term / (len(targets.scenes) * world_size())
        return terms

    def quality(
        self, predictions: Predictions, queries: QueryPredictions, voxels: VoxelBatch, targets: Targets
    ) -> Tensor:
        """Returns the error of the confidence of all queries, matched or not, averaged over the scenes of the
        batch."""
        superpoints = predictions.encoding.superpoints
        sizes = superpoint_sizes(voxels, superpoints.chosen).to(voxels.xyz)
        term = queries.confidence.sum() * 0
        for b, scene in enumerate(targets.scenes):
            if len(scene) and queries.active[b]:
                own = superpoints.scene(b)
                with torch.no_grad():
                    model = self.config.model
                    masks = assemble_masks(queries, superpoints, b, model.rays, model.migrations)
                    quality = mask_iou(masks, scene.masks, sizes[own]).amax(1)
                term = term + (queries.confidence[b] - quality).square().mean()
        return self.config.loss.quality * term / (len(targets.scenes) * world_size())

    def scene(self, queries: QueryPredictions, b: int, xyz: Tensor, scene: InstanceTargets) -> Terms:
        """Returns the terms of scene b, of the matching and of the auxiliary one; xyz (S_b, 3) of its
        superpoints."""
        config, loss = self.config.matching, self.config.loss
        cost = matching_cost(
            queries.class_logits[b],
            queries.confidence[b],
            queries.boxes[b],
            scene.class_ids,
            scene.boxes,
            config,
        )
        if config.dice or config.bce:
            cost = cost + mask_cost(queries.migration[b], scene.masks.to(xyz), config)
        terms = self.matched(queries, b, xyz, scene, match(cost))
        if loss.auxiliary:
            repeated = self.matched(queries, b, xyz, scene, match(cost, config.repeats))
            terms |= {f"aux_{name}": loss.auxiliary * term for name, term in repeated.items()}
        return terms

    def matched(
        self, queries: QueryPredictions, b: int, xyz: Tensor, scene: InstanceTargets, pairs: Match
    ) -> Terms:
        """Returns the weighted terms of scene b for the P pairs of one matching; xyz (S_b, 3) of its
        superpoints."""
        loss, q, g, n = self.config.loss, pairs.queries, pairs.instances, len(pairs.queries)
        masks, boxes = scene.masks[g].to(xyz), queries.boxes[b, q]
        delta = queries.migration[b][q]
        confidence_error = queries.confidence[b, q] - paired_iou(delta.detach() > 0, masks > 0)
        radial = torch.cat([queries.rays[b, q], queries.centers[b, q]], dim=1)
        terms = {
            "classification": class_loss(
                queries.class_logits[b], q, scene.class_ids[g], self.query_weights.to(xyz)
            ),
            "confidence": confidence_error.square().sum() / n,
            "box": (boxes - scene.boxes[g]).abs().sum() / n * self.box_weight,
            "giou": (1 - box_iou(boxes, scene.boxes[g])[1]).sum() / n,
            "radial": (radial - scene.radial[g]).abs().mean(),
        }
        terms |= {
            name: MASK_LOSSES[name](delta, masks, loss).sum() / n for name in MASK_TERMS if name in self.names
        }
        weighted = {name: getattr(loss, name) * terms[name] for name in self.names if name in terms}
        if "margin" in self.names:
            model = self.config.model
            weighted["margin"] = margin_loss(
                delta, masks > 0, queries.rays[b, q], xyz, model.rays, loss, model.migrations
            )
        return weighted


def on_chosen(targets: Targets, superpoints: SuperpointTable, voxels: VoxelBatch) -> Targets:
    """Returns the targets where masks are predicted on some superpoints alone."""
    if superpoints.chosen is None:
        return targets
    starts = voxels.superpoint_offsets
    scenes = [
        scene.on(superpoints.chosen[superpoints.scene(b)] - starts[b])
        for b, scene in enumerate(targets.scenes)
    ]
    return replace(targets, scenes=scenes)


def enough_foreground(foreground: Tensor) -> bool:
    """Returns whether the foreground voxels (V,) bool of the batch, those of all processes, are worth
    queries."""
    return int(total(foreground.sum())) > MIN_FOREGROUND


def semantic_loss(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    """Returns the cross-entropy of logits (V, K) against labels (V,), IGNORE left out; 0 when all are."""
    weights = class_weights.to(logits)
    loss = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    return loss / total(weights[labels[labels != IGNORE]].sum()).clamp(min=EPSILON)


def class_loss(logits: Tensor, queries: Tensor, class_ids: Tensor, weights: Tensor) -> Tensor:
    """Returns the cross-entropy over all queries (Q, K + 1): the matched ones' classes (P,), "none" for the
    rest.

    weights (K + 1,) of the classes.
    """
    labels = class_ids.new_full((len(logits),), logits.shape[1] - 1).index_copy_(0, queries, class_ids)
    return F.cross_entropy(logits, labels, weights)


def dice_loss(delta: Tensor, masks: Tensor) -> Tensor:
    """Returns (P,) dice loss of migrations (P, S), as logits, against masks (P, S)."""
    p = delta.sigmoid()
    return 1 - (2 * (p * masks).sum(1) + 1) / (p.sum(1) + masks.sum(1) + 1)


def bce_loss(delta: Tensor, masks: Tensor) -> Tensor:
    """Returns (P,) binary cross-entropy of migrations (P, S), as logits, against masks (P, S): means over
    S."""
    return F.binary_cross_entropy_with_logits(delta, masks, reduction="none").mean(1)


def focal_loss(delta: Tensor, masks: Tensor, alpha: float, gamma: float) -> Tensor:
    """Returns (P,) focal loss (Lin et al. 2017, eq. 5) of migrations (P, S), as logits, against masks
    (P, S)."""
    error = (masks - delta.sigmoid()).abs()
    weight = (alpha * masks + (1 - alpha) * (1 - masks)) * error**gamma
    return (weight * F.binary_cross_entropy_with_logits(delta, masks, reduction="none")).mean(1)


MASK_LOSSES: dict[str, Callable[[Tensor, Tensor, LossConfig], Tensor]] = {
    "dice": lambda delta, masks, loss: dice_loss(delta, masks),
    "bce": lambda delta, masks, loss: bce_loss(delta, masks),
    "focal": lambda delta, masks, loss: focal_loss(delta, masks, loss.focal_alpha, loss.focal_gamma),
}


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """Returns (P,) IoU, in superpoints, of each of the boolean masks (P, S) with its own."""
    return (a & b).sum(1) / ((a | b).sum(1) + EPSILON)


def margin_loss(
    delta: Tensor,
    masks: Tensor,
    rays: Tensor,
    xyz: Tensor,
    grid: tuple[int, int],
    loss: LossConfig | None = None,
    migrations: int = 2,
) -> Tensor:
    """Returns the soft margin (scalar) that migrates superpoints to their side of the query's rays (paper
    section 3.4).

    delta (P, S) migrations, masks (P, S) bool of the instances, rays (P, R), xyz (S, 3) of the superpoints.
    True positives have the weight `loss.cohesion`, the wrong ones `loss.correction`.
    """
    loss = loss or LossConfig()
    predicted = delta.detach() > 0
    union, hits = predicted | masks, predicted & masks
    if not hits.any():
        return delta.sum() * 0
    share = union.to(xyz)
    centers = (share @ xyz) / share.sum(1, keepdim=True).clamp(min=1)
    pair, superpoint = union.nonzero(as_tuple=True)
    offsets = xyz[superpoint] - centers[pair]
    migration, hit = delta[pair, superpoint], hits[pair, superpoint]
    distance = offsets.norm(dim=1) - (migrations - 1) * migration.detach() - migration
    side = masks[pair, superpoint].float() * 2 - 1
    reach = rays.detach()[pair, sectors(offsets, grid)] - side * loss.margin
    ahead = torch.where(hit, -distance, reach - distance)
    weight = torch.where(hit, loss.cohesion, loss.correction)
    return (weight * F.softplus(-side * ahead.tanh())).mean()
