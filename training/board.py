# SPDX-License-Identifier: Apache-2.0
"""Losses, scores and pictures of predictions for TensorBoard, while the run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.config import ConfigError
from sphmask_core.pictures.draw import SceneResult, draw_scenes

from .log import Record, losses

SCENES = (0, 1)
"""Scenes of the validation split that are drawn."""


def summary_writer() -> Any:
    """Returns TensorBoard's class of writers; raises ConfigError where TensorBoard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ConfigError(
            "train.tensorboard: the package tensorboard is missing; pip install 'sphmask[train]'"
        ) from None
    return SummaryWriter


class Board:
    """Writes to folder/tensorboard; `tensorboard --logdir runs` shows it."""

    def __init__(self, folder: Path, first_epoch: int, first_step: int) -> None:
        self.picture = folder / "validation.png"
        writer = summary_writer()
        self.epochs = writer(folder / "tensorboard", purge_step=first_epoch)
        self.steps = writer(folder / "tensorboard" / "steps", purge_step=first_step)

    def add(self, record: Record) -> None:
        """Adds a record of the log: of an epoch, or of a step."""
        writer, place = self.epochs, record["epoch"]
        if "step" in record:
            writer, place = self.steps, record["step"]
        terms = losses(record)
        for name, value in record.items():
            writer.add_scalar(f"loss/{name}" if name in terms else name, value, place)
        writer.flush()

    def pictures(self, scenes: Sequence[SceneResult], epoch: int) -> None:
        """Write pictures of scenes: their labels beside their instances."""
        from PIL import Image

        draw_scenes(self.picture, scenes, columns=1)
        with Image.open(self.picture) as image:
            self.epochs.add_image("validation", np.asarray(image), epoch, dataformats="HWC")
