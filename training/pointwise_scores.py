# SPDX-License-Identifier: Apache-2.0
"""How good the point-wise heads are on labeled scenes, in every phase: before there are masks, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sphmask_core.clouds.scenes import Scene
from sphmask_core.config import Config
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.preparation import prepare

from .targets import IGNORE, instance_centers, label_voxels


@dataclass
class PointwiseScores:
    """Sums over the voxels of scenes."""

    confusion: np.ndarray
    """(K, K) voxels of each semantic class (row) by their predicted class (column)."""
    unit: float
    """Meters in one model unit."""
    instance_voxels: int = 0
    offset_error: float = 0.0
    """Model units, summed over the voxels of instances."""
    foreground_voxels: int = 0
    """Voxels of instances that are foreground."""

    @classmethod
    def of(cls, config: Config) -> PointwiseScores:
        """Returns sums that hold no scene yet."""
        classes = len(config.semantic_classes)
        return cls(np.zeros((classes, classes), np.int64), config.unit)

    def add_classes(self, predicted: Tensor, semantic: Tensor) -> None:
        """Count the predicted classes (V,) of a scene's voxels by their labels (V,)."""
        labeled = semantic != IGNORE
        classes = len(self.confusion)
        pairs = semantic[labeled] * classes + predicted[labeled]
        counts = pairs.bincount(minlength=classes**2).view(classes, classes)
        self.confusion += counts.cpu().numpy()

    def add_instances(self, error: Tensor, foreground: Tensor) -> None:
        """Adds voxels of instances: the error (P, 3) of the offsets to their centers, and foreground (P,)
        bool."""
        self.instance_voxels += len(error)
        self.offset_error += float(error.norm(dim=1).sum())
        self.foreground_voxels += int(foreground.sum())

    def means(self) -> dict[str, float]:
        """Returns the mean IoU over the classes that occur, mean error of the centers in meters, and the
        share of the instances' voxels that is foreground; NaN where no voxel counts."""
        hits = self.confusion.diagonal()
        union = self.confusion.sum(0) + self.confusion.sum(1) - hits
        occurs = self.confusion.sum(1) > 0
        count = self.instance_voxels or float("nan")
        return {
            "mIoU": float((hits[occurs] / union[occurs]).mean()) if occurs.any() else float("nan"),
            "offset_error": self.unit * self.offset_error / count,
            "foreground_recall": self.foreground_voxels / count,
        }


@torch.no_grad()
def pointwise_scores(
    model: SphericalMask, scenes: Iterable[Scene], device: torch.device, stop: Callable[[], bool]
) -> dict[str, float]:
    """Returns mIoU, offset error and foreground recall over whole scenes; nothing when stopped.

    Scenes of more voxels than the network sees at once (`inference.block_voxels`) are left out.
    """
    model.eval()
    scores = PointwiseScores.of(model.config)
    for scene in scenes:
        if stop():
            return {}
        _add_scene(scores, model, scene, device)
    return scores.means()


def _add_scene(scores: PointwiseScores, model: SphericalMask, scene: Scene, device: torch.device) -> None:
    config = model.config
    rgb = None if scene.cloud.rgb is None else torch.from_numpy(scene.cloud.rgb).to(device)
    own = None if scene.superpoints is None else torch.from_numpy(scene.superpoints).to(device)
    cloud = prepare(torch.from_numpy(scene.cloud.xyz).to(device), rgb, config, own)
    voxels = cloud.voxels
    if voxels is None or len(voxels.coords) > config.inference.block_voxels:
        return
    semantic, instance = (
        torch.from_numpy(array).to(device)[cloud.rows] for array in (scene.semantic, scene.instance)
    )
    semantic, instance, class_ids = label_voxels(voxels, semantic, instance, config.class_shift)
    encoding = model.encode(voxels)
    scores.add_classes(encoding.pointwise.semantic_logits.argmax(1), semantic)
    inside = instance != IGNORE
    owner, xyz = instance[inside], voxels.xyz[inside]
    wanted = instance_centers(owner, xyz, len(class_ids))[owner] - xyz
    scores.add_instances(encoding.pointwise.center_offsets[inside] - wanted, encoding.foreground[inside])
