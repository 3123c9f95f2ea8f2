# SPDX-License-Identifier: Apache-2.0
"""A whole configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sphmask_core.config.method import InferenceConfig, ModelConfig, SuperpointConfig
from sphmask_core.config.ranges import ConfigError, check_ranges, number
from sphmask_core.config.training import AugmentConfig, DataConfig, LossConfig, MatchingConfig, TrainConfig


@dataclass(frozen=True)
class Config:
    """Holds every setting of a preset: classes, scale, architecture, inference and the recipe of training."""

    name: str = "scannetv2"
    """The preset's name."""
    semantic_classes: tuple[str, ...] = ()
    """All classes that the semantic head tells apart; those without instances come first."""
    instance_classes: tuple[str, ...] = ()
    """The last classes of `semantic_classes`: those that have instances."""
    voxel_size: float = number(0.02, 0, 1e3, above=True)
    """Edge of a voxel, meters."""
    up: Literal["z", "plane", "gravity"] = "z"
    """The clouds' vertical: `z`; `plane`: normal of the largest plane, toward the sensor; `gravity`: what
    a room's floor and walls show, near z, or near -y in a camera's optical frame."""
    supports: bool = False
    """Leave out points on tables, shelves, floors and walls before the network (docs/model.md, section 1)."""
    ground: Literal["none", "floor", "terrain"] = "none"
    """Leave out the points on the ground before the network: the floor of a room, or open ground that rises
    and falls; z is 0 on it (docs/model.md, section 1)."""
    model: ModelConfig = field(default_factory=ModelConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    superpoints: SuperpointConfig = field(default_factory=SuperpointConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    matching: MatchingConfig = field(default_factory=MatchingConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        tail = self.semantic_classes[self.class_shift :]
        if self.class_shift < 0 or tail != self.instance_classes:
            raise ConfigError("instance_classes must be the last entries of semantic_classes")
        check_ranges(self, "")
        beyond = [i for i in self.inference.whole_classes if i >= len(self.semantic_classes)]
        if beyond and self.semantic_classes:
            count = len(self.semantic_classes)
            raise ConfigError(f"inference.whole_classes: {beyond[0]} is none of the {count} semantic classes")
        factors, classes = len(self.inference.class_factors), len(self.instance_classes)
        if factors not in (0, classes):
            raise ConfigError(
                f"inference.class_factors: has {factors} numbers for {classes} instance classes"
            )

    @property
    def class_shift(self) -> int:
        """Returns the semantic classes before the first instance class."""
        return len(self.semantic_classes) - len(self.instance_classes)

    @property
    def found_classes(self) -> tuple[str, ...]:
        """Returns the names of the classes that instances are of: `instance_classes`, then those of
        `whole_classes`."""
        return tuple(self.semantic_classes[i] for i in self.semantic_ids)

    @property
    def semantic_ids(self) -> tuple[int, ...]:
        """Returns the semantic class of each of `found_classes`."""
        return (*range(self.class_shift, len(self.semantic_classes)), *self.inference.whole_classes)

    @property
    def whole_ids(self) -> range:
        """Returns the classes among `found_classes` that are one instance each."""
        return range(len(self.instance_classes), len(self.semantic_ids))

    @property
    def unit(self) -> float:
        """Returns the meters in one model unit: one voxel is always 1 / voxel_scale units (2 cm at 50)."""
        return self.voxel_size * self.model.voxel_scale
