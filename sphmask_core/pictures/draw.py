# SPDX-License-Identifier: Apache-2.0
"""Pictures of a result, without a display. Writing them needs pillow (`pip install sphmask[view]`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.palette import instance_colors
from sphmask_core.pictures.views import pixel_points
from sphmask_core.runtime.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from sphmask_core.segmenter import Instances

PAPER = np.array([250, 250, 250], np.uint8)
INK = (40, 40, 40)
"""Red, green and blue of what pictures are drawn on, and of captions."""
GAP, CAPTION = 8, 26
"""Pixels between panels, and of the height of a caption."""
RESULT_SIZE = (480, 640)  # height, width of a panel
SCENE_SIZE = (240, 320)
CROP_HEIGHT, CROP_WIDTH = 150, 220
TINT = 0.68  # share of the instance's color over the scene's own brightness
PALE = (130, 0.42)
"""Brightness of the palest black of what is no instance, and the share of its own that is added."""
DARKER = 0.45
"""Brightness of an instance's outline, in shares of its color."""
NEAR_GRAY, FAR_GRAY = 220, 50
"""Gray of the nearest and of the farthest points of a cloud without colors."""
RANGE = (1, 99)
"""Percentiles of depth between which the grays lie, so that single stray points do not decide."""
NUMBER_FONT, CAPTION_FONT = 13, 14
"""Pixels."""
LABEL_BACKGROUND = (255, 255, 255, 215)
"""Red, green, blue and opacity behind a number."""
LABEL_MARGIN = (4, 3)
"""Pixels beside and above a number; its corners are as round as it is wide."""
SMALLEST_NUMBERED = 12  # pixels of an instance that is given its number
SAME_OBJECT = 0.3  # IoU from which a predicted instance is drawn in its object's color


@dataclass(frozen=True)
class SceneResult:
    """Holds a labeled scene and the instances that a model predicts in it."""

    name: str
    cloud: Cloud
    truth: np.ndarray
    """(N,) int: 0 none, i + 1 = object i"""
    predicted: np.ndarray
    """(N,) int: 0 none, i + 1 = instance i"""
    caption: str
    up: np.ndarray
    """(3,) the scene's vertical, for clouds without a sensor's view"""

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """Returns (height, width) int64: the point that each pixel of a picture shows, -1 none."""
        return pixel_points(self.cloud, self.up, size)


def draw_result(
    path: str | Path, cloud: Cloud, instances: Instances, caption: str, ids: np.ndarray | None = None
) -> None:
    """Write a picture: the cloud's own colors beside its instances, each with its number and score.

    ids (I,): numbers from 1, of objects that are followed; None: the instances' own.
    """
    numbers = np.arange(1, len(instances) + 1) if ids is None else ids
    palette = instance_colors(int(numbers.max(initial=0)))[numbers - 1]
    pixels = pixel_points(cloud, instances.rotation[2], RESULT_SIZE)
    labels = _labels_at(instances.labels, pixels)
    panel = _picture(_tinted(cloud, labels, pixels, palette))
    texts = [f"{number}  {score:.2f}" for number, score in zip(numbers, instances.scores, strict=True)]
    _write_numbers(panel, labels, texts)
    colors = _picture(_cloud_colors(cloud, pixels))
    save_grid(path, [[(colors, "cloud"), (panel, caption)]])


def draw_scenes(path: str | Path, scenes: Sequence[SceneResult], columns: int = 2) -> None:
    """Write a grid of scenes, each with its colors, its labels and its instances, side by side."""
    panels = [_scene_panels(scene, scene.pixels(SCENE_SIZE)) for scene in scenes]
    save_grid(path, [list(chain(*panels[i : i + columns])) for i in range(0, len(panels), columns)])


def cropped_panels(scene: SceneResult, pixels: np.ndarray, caption: str) -> list[tuple[Image, str]]:
    """Returns colors, labels and instances of a part (h, w) of the scene's picture, all of one size."""
    scale = CROP_HEIGHT / len(pixels)
    rows, columns = (np.floor(np.arange(round(n * scale)) / scale).astype(int) for n in pixels.shape)
    panels = _scene_panels(scene, pixels[rows][:, columns[:CROP_WIDTH]])
    return [(panel, text) for (panel, _), text in zip(panels, (caption, "labels", "found"), strict=True)]


def save_grid(path: str | Path, rows: Sequence[Sequence[tuple[Image, str]]]) -> None:
    """Write rows of panels with their captions as one picture."""
    picture = _grid(rows)
    with replacing(path) as temporary:
        picture.save(temporary, "PNG")


def _scene_panels(scene: SceneResult, pixels: np.ndarray) -> list[tuple[Image, str]]:
    objects, instances = int(scene.truth.max(initial=0)), int(scene.predicted.max(initial=0))
    palette = instance_colors(objects + instances)
    truth = _tinted(scene.cloud, _labels_at(scene.truth, pixels), pixels, palette)
    matched = _match(scene.truth, scene.predicted, objects, instances)
    predicted = _tinted(scene.cloud, _labels_at(scene.predicted, pixels), pixels, palette[matched])
    return [
        (_picture(_cloud_colors(scene.cloud, pixels)), scene.name),
        (_picture(truth), f"labels: {objects}"),
        (_picture(predicted), scene.caption),
    ]


def _match(truth: np.ndarray, predicted: np.ndarray, objects: int, instances: int) -> np.ndarray:
    """Returns (instances,) color number of each instance: that of the object it overlaps, or a new one."""
    counts = np.bincount(truth * (instances + 1) + predicted, minlength=(objects + 1) * (instances + 1))
    common = counts.reshape(objects + 1, instances + 1)
    union = common.sum(0)[1:] + common.sum(1)[1:, None] - common[1:, 1:]
    iou = np.concatenate([common[1:, 1:] / np.maximum(union, 1), np.full((1, instances), SAME_OBJECT)])
    best = iou.argmax(0)
    return np.where(best < objects, best, objects + np.arange(instances))


def _labels_at(labels: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Returns (height, width) label that each pixel shows, 0 where there is no point."""
    return np.where(pixels >= 0, labels[pixels], 0)


def _cloud_colors(cloud: Cloud, pixels: np.ndarray) -> np.ndarray:
    """Returns (height, width, 3) uint8: the cloud's colors, or its depth as gray."""
    if cloud.rgb is not None:
        colors = cloud.rgb[pixels]
    else:
        low, high = np.nanpercentile(cloud.xyz[:, 2], RANGE)
        depth = np.clip((cloud.xyz[pixels, 2] - low) / ((high - low) or 1), 0, 1)
        gray = NEAR_GRAY + (FAR_GRAY - NEAR_GRAY) * depth
        colors = np.repeat(np.nan_to_num(gray)[..., None], 3, 2).astype(np.uint8)
    return np.where(pixels[..., None] >= 0, colors, PAPER)


def _tinted(cloud: Cloud, labels: np.ndarray, pixels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns (height, width, 3) uint8: a pale scene with instances in color, outlined."""
    brightness = _cloud_colors(cloud, pixels).mean(2, keepdims=True)
    pale = PALE[0] + PALE[1] * brightness
    colors = np.concatenate([np.zeros((1, 3)), palette])[labels]
    tinted = TINT * colors + (1 - TINT) * brightness
    picture = np.where(labels[..., None] > 0, tinted, pale)
    picture = np.where(_outline(labels)[..., None], DARKER * colors, picture)
    return np.where(pixels[..., None] >= 0, picture, PAPER).astype(np.uint8)


def _outline(labels: np.ndarray) -> np.ndarray:
    """Returns the pixels of an instance that touch something else."""
    padded = np.pad(labels, 1, mode="edge")
    neighbors = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return (labels > 0) & np.any([labels != other for other in neighbors], axis=0)


def _write_numbers(picture: Image, labels: np.ndarray, texts: Sequence[str]) -> None:
    """Write texts[i] upon instance i + 1, at its pixel nearest to the middle of its pixels."""
    from PIL import ImageDraw, ImageFont

    pen = ImageDraw.Draw(picture, "RGBA")
    font = ImageFont.load_default(NUMBER_FONT)
    for i, text in enumerate(texts, 1):
        shown = np.argwhere(labels == i)
        if len(shown) < SMALLEST_NUMBERED:
            continue
        row, column = shown[np.abs(shown - np.median(shown, 0)).sum(1).argmin()].tolist()
        left, top, right, bottom = pen.textbbox((column, row), text, font, "mm")
        dx, dy = LABEL_MARGIN
        pen.rounded_rectangle((left - dx, top - dy, right + dx, bottom + dy), dx, LABEL_BACKGROUND)
        pen.text((column, row), text, INK, font, "mm")


def _picture(pixels: np.ndarray) -> Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels))


def _grid(rows: Sequence[Sequence[tuple[Image, str]]]) -> Image:
    """Returns panels with a caption above each, on paper."""
    from PIL import Image, ImageDraw, ImageFont

    cell_width = max(panel.width for row in rows for panel, _ in row)
    cell_height = max(panel.height for row in rows for panel, _ in row) + CAPTION
    columns = max(len(row) for row in rows)
    size = columns * (cell_width + GAP) + GAP, len(rows) * (cell_height + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(CAPTION_FONT)
    for r, row in enumerate(rows):
        for c, (panel, caption) in enumerate(row):
            x, y = GAP + c * (cell_width + GAP), GAP + r * (cell_height + GAP)
            pen.text((x + 2, y + CAPTION / 2), _end_of(caption, font, cell_width), INK, font, "lm")
            sheet.paste(panel, (x, y + CAPTION))
    return sheet


def _end_of(caption: str, font: FreeTypeFont | ImageFont, width: int) -> str:
    """Returns a caption, or as much of its end as fits into `width` pixels."""
    ends = (f"...{caption[start:]}" for start in range(1, len(caption)))
    return next((shown for shown in (caption, *ends) if font.getlength(shown) <= width), "...")
