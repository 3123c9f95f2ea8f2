# SPDX-License-Identifier: Apache-2.0
"""Every term of the training loss (docs/model.md, section 10), weighted, by name."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sphmask_core.config import Config
from sphmask_core.method.candidates import assemble_masks, mask_iou
from sphmask_core.method.model import Predictions
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.query_heads import QueryPredictions
from sphmask_core.method.spherical import sectors
from sphmask_core.method.voxels import VoxelBatch

from .boxes import box_iou
from .distributed import total, world_size
from .matching import Match, match, matching_cost
from .targets import IGNORE, InstanceTargets, Targets

QUERY_WEIGHTS = {
    "dice": 1.0,
    "bce": 1.0,
    "class": 0.5,
    "confidence": 0.5,
    "box": 0.5,
    "giou": 0.5,
    "radial": 1.0,
}
NO_INSTANCE_WEIGHT = 0.1
"""Weight of the class "none" in the cross-entropy over all queries."""
AUXILIARY_WEIGHT, AUXILIARY_REPEATS = 2.0, 4
"""The auxiliary matching lets this many queries answer for the same instance."""
MIN_FOREGROUND = 100
"""With this many foreground voxels in the batch, or fewer, there are no queries."""

Terms = dict[str, Tensor]


class Criterion:
    """The training loss: a sum of named, weighted terms."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.box_weight = config.model.voxel_scale / 50
        self.class_weights = torch.tensor(config.loss.class_weights or [1.0] * len(config.semantic_classes))

    def __call__(self, predictions: Predictions, voxels: VoxelBatch, targets: Targets) -> Terms:
        """Weighted scalar terms; their sum is the loss."""
        terms = self.pointwise(predictions.encoding.pointwise, voxels.xyz, targets)
        if predictions.queries is not None:
            terms |= self.queries(predictions, predictions.queries, targets)
            if self.config.loss.quality:
                terms["quality"] = self.quality(predictions, predictions.queries, voxels, targets)
        return terms

    def pointwise(self, predicted: PointwisePredictions, xyz: Tensor, targets: Targets) -> Terms:
        """Terms of the point-wise heads, over the V voxels at xyz (V, 3)."""
        terms = {"semantic": semantic_loss(predicted.semantic_logits, targets.semantic, self.class_weights)}
        inside = targets.instance != IGNORE
        count = total(inside.sum()).clamp(min=1)
        owner, xyz = targets.instance[inside], xyz[inside]
        corners, boxes = predicted.corner_offsets[inside], targets.boxes[owner]
        iou, giou = box_iou(corners + xyz.repeat(1, 2), boxes)
        center_error = predicted.center_offsets[inside] - (targets.centers[owner] - xyz)
        corner_error = corners - (boxes - xyz.repeat(1, 2))
        terms["center_offset"] = center_error.abs().sum() / count * self.box_weight
        terms["corner_offset"] = corner_error.abs().sum() / count * self.box_weight
        terms["box_giou"] = (1 - giou).sum() / count
        terms["box_confidence"] = (predicted.box_confidence[inside] - iou.detach()).square().sum() / count
        return {f"point_{name}": self.config.loss.pointwise * term for name, term in terms.items()}

    def queries(self, predictions: Predictions, queries: QueryPredictions, targets: Targets) -> Terms:
        """Terms of the matched queries, averaged over the scenes of the batch.

        Every output has a gradient, if only zero: going back through batch norm takes all processes.
        """
        outputs = [*queries.migration, queries.class_logits, queries.confidence]
        outputs += [queries.boxes, queries.rays, queries.centers]
        zero = torch.stack([output.sum() for output in outputs]).sum() * 0
        names = [*QUERY_WEIGHTS, *(f"aux_{name}" for name in QUERY_WEIGHTS)]
        terms = dict.fromkeys(names, zero)
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
        """Error of the confidence of all queries, matched or not, averaged over the scenes of the batch."""
        superpoints = predictions.encoding.superpoints
        sizes = voxels.superpoints.bincount(minlength=len(superpoints.xyz)).to(voxels.xyz)
        term = queries.confidence.sum() * 0
        for b, scene in enumerate(targets.scenes):
            if len(scene) and queries.active[b]:
                own = superpoints.scene(b)
                with torch.no_grad():
                    masks = assemble_masks(queries, superpoints, b, self.config.model.rays)
                    quality = mask_iou(masks, scene.masks, sizes[own]).amax(1)
                term = term + (queries.confidence[b] - quality).square().mean()
        return self.config.loss.quality * term / (len(targets.scenes) * world_size())

    def scene(self, queries: QueryPredictions, b: int, xyz: Tensor, scene: InstanceTargets) -> Terms:
        """Terms of scene b, of the matching and of the auxiliary one; xyz (S_b, 3) of its superpoints."""
        cost = matching_cost(
            queries.class_logits[b], queries.confidence[b], queries.boxes[b], scene.class_ids, scene.boxes
        )
        terms: Terms = {}
        for prefix, weight, repeats in (("", 1.0, 1), ("aux_", AUXILIARY_WEIGHT, AUXILIARY_REPEATS)):
            found = matched_terms(
                queries, b, xyz, scene, match(cost, repeats), self.box_weight, self.config.model.rays
            )
            terms |= {prefix + name: weight * QUERY_WEIGHTS[name] * term for name, term in found.items()}
        return terms


def matched_terms(
    queries: QueryPredictions,
    b: int,
    xyz: Tensor,
    scene: InstanceTargets,
    pairs: Match,
    box_weight: float,
    grid: tuple[int, int],
) -> Terms:
    """Unweighted terms of scene b for the P pairs of one matching; xyz (S_b, 3) of its superpoints."""
    q, g, n = pairs.queries, pairs.instances, len(pairs.queries)
    delta, masks = queries.migration[b][q], scene.masks[g].to(xyz)
    boxes, rays, centers = queries.boxes[b, q], queries.rays[b, q], queries.centers[b, q]
    confidence_error = queries.confidence[b, q] - paired_iou(delta.detach() > 0, masks > 0.5)
    radial_error = torch.cat([rays, centers], dim=1) - scene.radial[g]
    return {
        "dice": dice_loss(delta, masks).sum() / n,
        "bce": F.binary_cross_entropy_with_logits(delta, masks, reduction="none").mean(1).sum() / n,
        "class": class_loss(queries.class_logits[b], q, scene.class_ids[g]),
        "confidence": confidence_error.square().sum() / n,
        "box": (boxes - scene.boxes[g]).abs().sum() / n * box_weight,
        "giou": (1 - box_iou(boxes, scene.boxes[g])[1]).sum() / n,
        "radial": radial_error.abs().mean() + margin_loss(delta, masks > 0.5, rays, xyz, grid),
    }


def enough_foreground(foreground: Tensor) -> bool:
    """Whether the foreground voxels (V,) bool of the batch, those of all processes, are worth queries."""
    return int(total(foreground.sum())) > MIN_FOREGROUND


def semantic_loss(logits: Tensor, labels: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy of logits (V, K) against labels (V,), IGNORE left out; 0 when all are."""
    weights = class_weights.to(logits)
    loss = F.cross_entropy(logits, labels, weights, ignore_index=IGNORE, reduction="sum")
    return loss / total(weights[labels[labels != IGNORE]].sum()).clamp(min=1e-6)


def class_loss(logits: Tensor, queries: Tensor, class_ids: Tensor) -> Tensor:
    """Cross-entropy over all queries (Q, K + 1): the matched ones' classes (P,), "none" for the rest."""
    none = logits.shape[1] - 1
    labels = class_ids.new_full((len(logits),), none).index_copy_(0, queries, class_ids)
    weights = logits.new_ones(none + 1)
    weights[none] = NO_INSTANCE_WEIGHT
    return F.cross_entropy(logits, labels, weights)


def dice_loss(delta: Tensor, masks: Tensor) -> Tensor:
    """(P,) dice loss of migrations (P, S), as logits, against masks (P, S)."""
    p = delta.sigmoid()
    return 1 - (2 * (p * masks).sum(1) + 1) / (p.sum(1) + masks.sum(1) + 1)


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """(P,) IoU, in superpoints, of each of the boolean masks (P, S) with its own."""
    return (a & b).sum(1) / ((a | b).sum(1) + 1e-6)


def margin_loss(delta: Tensor, masks: Tensor, rays: Tensor, xyz: Tensor, grid: tuple[int, int]) -> Tensor:
    """Soft margin (scalar) that migrates superpoints to their side of the query's rays.

    delta (P, S) migrations, masks (P, S) bool of the instances, rays (P, R), xyz (S, 3) of the superpoints.
    """
    predicted = delta.detach() > 0
    union, hits = predicted | masks, predicted & masks
    if not hits.any():
        return delta.sum() * 0
    share = union.to(xyz)
    centers = (share @ xyz) / share.sum(1, keepdim=True).clamp(min=1)
    pair, superpoint = union.nonzero(as_tuple=True)
    offsets = xyz[superpoint] - centers[pair]
    migration = delta[pair, superpoint]
    distance = offsets.norm(dim=1) - migration.detach() - migration
    reach = rays.detach()[pair, sectors(offsets, grid)]
    margin = torch.where(hits[pair, superpoint], -distance, reach - distance)
    side = masks[pair, superpoint].float() * 2 - 1
    return F.softplus(-side * margin.tanh()).mean()
