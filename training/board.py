# SPDX-License-Identifier: Apache-2.0
"""Losses, scores and pictures of predictions for TensorBoard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sphmask_core.config import ConfigError
from sphmask_core.pictures.draw import SceneResult, draw_scenes

from .log import Record, losses

SCENES = (0, 1)
"""Scenes of the validation split that are drawn."""


class Board:
    """Writes to folder/tensorboard; `tensorboard --logdir runs` shows it."""

    def __init__(self, folder: Path, first_epoch: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError(
                "train.tensorboard: the package tensorboard is missing; pip install 'sphmask[train]'"
            ) from None
        self.picture = folder / "validation.png"
        self.writer = SummaryWriter(folder / "tensorboard", purge_step=first_epoch)

    def scalars(self, record: Record) -> None:
        """One epoch of the log."""
        terms = losses(record)
        for name, value in record.items():
            tag = f"loss/{name}" if name in terms else name
            self.writer.add_scalar(tag, value, record["epoch"])
        self.writer.flush()

    def pictures(self, scenes: Sequence[SceneResult], epoch: int) -> None:
        """Scenes with their labels and what was found in them."""
        from PIL import Image

        draw_scenes(self.picture, scenes, columns=1)
        with Image.open(self.picture) as image:
            self.writer.add_image("validation", np.asarray(image), epoch, dataformats="HWC")
