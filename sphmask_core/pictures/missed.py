# SPDX-License-Identifier: Apache-2.0
"""The objects that a model misses or cuts, the worst first, in one picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sphmask_core.pictures.draw import RESULT_SIZE, SceneResult, cropped_panels, save_grid

if TYPE_CHECKING:
    from PIL.Image import Image

GOOD_IOU = 0.75
"""IoU from which an object is not missed."""
MARGIN = 0.35
"""What is drawn around an object, in its own sizes."""
COLUMNS = 4


@dataclass(frozen=True)
class MissedObject:
    """One object: how well it was found, and its surroundings as pictures with captions."""

    iou: float
    panels: list[tuple[Image, str]]


@dataclass
class MissedObjects:
    """Keeps the worst objects of many scenes, at most `size`."""

    size: int
    objects: int = 0
    """Seen so far."""
    missed: int = 0
    """Those of them with an IoU below GOOD_IOU."""
    worst: list[MissedObject] = field(default_factory=list)

    def offer(self, result: SceneResult) -> None:
        """Count the objects of a scene, and keep those that are among the worst so far."""
        pixels = result.pixels(RESULT_SIZE)
        for number in range(1, int(result.truth.max(initial=0)) + 1):
            iou = best_iou(result.truth == number, result.predicted)
            self.objects += 1
            self.missed += iou < GOOD_IOU
            if iou < GOOD_IOU and (self.size > len(self.worst) or iou < self.worst[-1].iou):
                caption = f"{result.name} object {number}: IoU {iou:.2f}"
                around = _surroundings(result.truth, number, pixels)
                missed = MissedObject(iou, cropped_panels(result, around, caption))
                self.worst = sorted([*self.worst, missed], key=attrgetter("iou"))[: self.size]

    def draw(self, path: str | Path) -> bool:
        """Write the picture: for each object the colors, the labels and the instances, side by side.

        Returns whether there was anything to draw; without a missed object nothing is written.
        """
        panels = [missed.panels for missed in self.worst]
        if not panels:
            return False
        save_grid(path, [list(chain(*panels[i : i + COLUMNS])) for i in range(0, len(panels), COLUMNS)])
        return True


def best_iou(mask: np.ndarray, predicted: np.ndarray) -> float:
    """Returns the largest IoU of an object (N,) bool with an instance of `predicted` (N,), 0 none."""
    common = np.bincount(predicted[mask], minlength=int(predicted.max(initial=0)) + 1)
    union = np.bincount(predicted, minlength=len(common)) + mask.sum() - common
    return float((common[1:] / np.maximum(union[1:], 1)).max(initial=0.0))


def _surroundings(truth: np.ndarray, number: int, pixels: np.ndarray) -> np.ndarray:
    """Returns the part of an image of points (height, width) that shows an object and its margin."""
    shown = np.argwhere((pixels >= 0) & (truth[pixels] == number))
    if not len(shown):
        return pixels
    low, high = shown.min(0), shown.max(0) + 1
    margin = np.ceil(MARGIN * (high - low).max()).astype(int)
    low, high = np.maximum(low - margin, 0), high + margin
    return pixels[low[0] : high[0], low[1] : high[1]]
