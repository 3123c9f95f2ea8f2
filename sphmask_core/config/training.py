# SPDX-License-Identifier: Apache-2.0
"""Settings of training: data, augmentation, loss and recipe (docs/model.md, sections 9 to 12)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sphmask_core.config.ranges import ConfigError, check_ranges, count, number


@dataclass(frozen=True)
class FieldsConfig:
    """Where own clouds have their labels (`sphmask prepare folder`)."""

    semantic: str = "label"
    """Field of the class; of a plain .npy table the column's number, from 0."""
    instance: str = "instance"
    """Field of the object's number."""
    label_ids: tuple[int, ...] = ()
    """Value of each semantic class; other values are unlabeled. None: 0, 1, 2, ..."""
    no_instance: int = -1
    """Object's number of points that belong to none; negative numbers always mean that."""


@dataclass(frozen=True)
class TabletopConfig:
    """Says what the data sets `mosd`, `synthetic` and `tabletop` give: real, mixed and simulated frames of
    tables."""

    hold_out: bool = True
    """Keep the scenes of validation out of training; off: once they have chosen the settings."""
    simulated: int = count(0, low=0, high=500_000)
    """Simulated scenes."""
    simulator: Literal["meshes", "shapes"] = "meshes"
    """Real meshes at rest, seen by many cameras (extra `simulation`); or a Kinect's view of plain shapes."""
    mixed: int = count(0, low=0)
    """Scenes made of the objects of several real ones."""
    real_repeats: int = count(1, high=10_000)
    """Times that an epoch visits a real scene for once a simulated one."""

    def __post_init__(self) -> None:
        check_ranges(self, "data.tabletop.")


@dataclass(frozen=True)
class S3disConfig:
    """Says which areas the data set `s3dis` gives."""

    area: int = count(5, high=6)
    """Area that validation holds out."""

    def __post_init__(self) -> None:
        check_ranges(self, "data.s3dis.")


@dataclass(frozen=True)
class DataConfig:
    """Where the labeled scenes come from."""

    dataset: str = "scannetv2"
    """Name of a data set: scannetv2, scannet200, s3dis, stpls3d, folder, mosd, synthetic, tabletop, rooms or
    street."""
    root: str = ""
    """Folder of the data set."""
    simulated: int = count(0, low=0, high=500_000)
    """Scenes of the data sets `rooms` and `street`, which are simulated alone."""
    skip: int = count(0, low=0, high=400_000)
    """Simulated scenes to leave out before the first, so that a run sees others than an earlier one."""
    cache: str = ""
    """Folder for scenes that are made once (mixtures, simulations); none: sphmask in the user's caches."""
    fields: FieldsConfig = field(default_factory=FieldsConfig)
    tabletop: TabletopConfig = field(default_factory=TabletopConfig)
    s3dis: S3disConfig = field(default_factory=S3disConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "data.")


@dataclass(frozen=True)
class AugmentConfig:
    """Says how training scenes are changed at random (docs/model.md, section 11). Numbers are standard
    deviations unless said otherwise."""

    axis_jitter: float = number(0.1, 0, 10)
    """Deviation of each entry of a 3x3 map that is added to the identity."""
    flip: str = "xy"
    """Axes to mirror, each with chance 1/2."""
    turn: float = number(180.0, 0, 180)
    """Largest turn about z, uniform, degrees."""
    tilt: float = number(0.0, 0, 180)
    """Deviation of the turns about x and y, degrees."""
    scale: float = number(0.0, 0, 0.99)
    """Largest relative change of size, uniform."""
    z_shift: float = number(0.0, 0, 1000)
    """Deviation of a shift along z, model units."""
    elastic: tuple[tuple[float, float], ...] = number(((10.0, 60.0), (30.0, 180.0)), 0, 1e6)
    """(granularity, magnitude) of smooth distortions, voxels. They move points on the voxel grid alone, not
    the coordinates that the network is told and must answer. As in the published code, the nodes of the noise
    are two granularities apart."""
    elastic_chance: float = number(1.0, 0, 1)
    """Chance of each distortion."""
    color_jitter: float = number(0.1, 0, 10)
    """Deviation of the shift of each channel, a scene at a time; colors are in [-1, 1]."""
    color_gain: float = number(0.0, 0, 10)
    """Deviation of the factor on each channel, a scene at a time, about 1."""
    color_noise: float = number(0.0, 0, 10)
    """Deviation of the noise of each point's color."""
    color_drop: float = number(0.0, 0, 1)
    """Chance that a scene loses its colors."""
    point_drop: float = number(0.0, 0, 1)
    """Largest share of points left out, uniform."""
    point_share: float = number(1.0, 0, 1, above=True)
    """Share of a scene's points that each visit takes at random (S3DIS: 0.25)."""
    crop_chance: float = number(0.0, 0, 1)
    """Chance that a scene is cropped to its instances and a random margin."""
    crop_margin: float = number(1.0, 0, 1000)
    """Largest margin of the crop on each side in x and y, model units."""
    max_points: int = count(250_000)
    """Larger scenes are cropped to this many points: a random window of the ground plan."""

    def __post_init__(self) -> None:
        check_ranges(self, "augment.")
        if set(self.flip) - set("xyz"):
            raise ConfigError(f"augment.flip: must name axes out of x, y and z, not {self.flip!r}")
        if any(granularity < 1 for granularity, _ in self.elastic):
            raise ConfigError("augment.elastic: granularities must be at least 1 voxel")


@dataclass(frozen=True)
class LossConfig:
    """Holds the weights of the loss's terms; 0 leaves a term out (docs/model.md, section 10; defaults as
    published)."""

    pointwise: float = number(0.25, 0, 1e6)
    """Weight of the point-wise terms beside the queries' terms."""
    dice: float = number(1.0, 0, 1e6)
    """Weight of the dice loss of a matched query's mask."""
    bce: float = number(1.0, 0, 1e6)
    """Weight of the binary cross-entropy of a matched query's mask, a mean over superpoints."""
    focal: float = number(0.0, 0, 1e6)
    """Weight of the focal loss of a matched query's mask (the published code has it and does not use it)."""
    focal_alpha: float = number(0.25, 0, 1)
    """Weight in the focal loss of the superpoints inside; those outside have the rest of 1."""
    focal_gamma: float = number(2.0, 0, 100)
    """Focal loss: how fast what is right already counts less."""
    classification: float = number(0.5, 0, 1e6)
    """Weight of the class cross-entropy over all queries."""
    none_weight: float = number(0.1, 0, 1e6)
    """Weight of the class "none" in that cross-entropy."""
    confidence: float = number(0.5, 0, 1e6)
    """Weight of the squared error of a matched query's confidence."""
    box: float = number(0.5, 0, 1e6)
    """Weight of the L1 error of a matched query's box."""
    giou: float = number(0.5, 0, 1e6)
    """Weight of 1 - GIoU of a matched query's box."""
    radial: float = number(1.0, 0, 1e6)
    """Weight of the L1 error of a matched query's rays and center."""
    correction: float = number(1.0, 0, 1e6)
    """Weight of the margin loss that moves false positives out and false negatives in (paper section 3.4)."""
    cohesion: float = number(1.0, 0, 1e6)
    """Weight of the margin loss that pulls true positives to their center (paper section 3.4)."""
    margin: float = number(0.0, 0, 1e3)
    """Model units beyond the ray that the correction asks for."""
    auxiliary: float = number(2.0, 0, 1e6)
    """Weight of all terms of the auxiliary matching (`matching.repeats`); 0: none of it."""
    quality: float = number(0.0, 0, 1e6)
    """Weight of a term that teaches every query the IoU of its mask, so that scores rank the unmatched ones
    too; 0: the matched ones alone, as published."""
    features: float = number(8.0, 0, 1e6)
    """Weight of the squared error of the backbone's features relative to those of `train.teacher`."""
    class_weights: tuple[float, ...] = number((), 0, 1e6)
    """Weights of the semantic classes, in the point-wise cross-entropy and, for classes with instances, in
    that of the queries; none: all 1."""

    def __post_init__(self) -> None:
        check_ranges(self, "loss.")


@dataclass(frozen=True)
class MatchingConfig:
    """Costs by which queries are matched to instances (docs/model.md, section 10; defaults as published)."""

    classification: float = number(0.5, 0, 1e6)
    """Cost by the probability of the instance's class."""
    confidence: float = number(0.2, 0, 1e6)
    """Cost by the query's confidence."""
    giou: float = number(0.2, 0, 1e6)
    """Cost by the GIoU of the boxes."""
    dice: float = number(0.0, 0, 1e6)
    """Cost by the dice loss of the masks."""
    bce: float = number(0.0, 0, 1e6)
    """Cost by the binary cross-entropy of the masks."""
    repeats: int = count(4, high=1000)
    """Queries that answer for the same instance in the auxiliary matching."""

    def __post_init__(self) -> None:
        check_ranges(self, "matching.")


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer; its learning rate has a schedule (`train.lr`)."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    """AdamW and Adam differ in the weight decay; SGD has Nesterov momentum."""
    betas: tuple[float, float] = number((0.9, 0.999), 0, 1)
    """Decay of the averages of Adam; the first one is SGD's momentum."""
    eps: float = number(1e-8, 0, 1, above=True)
    """Added to Adam's denominator."""
    weight_decay: float = number(1e-4, 0, 1e3)
    """Decoupled from the gradient in AdamW."""

    def __post_init__(self) -> None:
        check_ranges(self, "train.optimizer.")
        if max(self.betas) >= 1:
            raise ConfigError(f"train.optimizer.betas: must be less than 1, not {max(self.betas)}")


@dataclass(frozen=True)
class BackboneConfig:
    """Describes a first phase that trains backbone and point-wise heads alone, with its own schedule and
    optimizer.

    The published runs start from such a phase; the presets of their data sets hold its settings.
    """

    epochs: int = count(0, low=0)
    """Epochs before those of `train.epochs`; 0: no such phase."""
    batch_size: int = count(0, low=0, high=100_000)
    """Scenes that each process sees at once; 0: as in `train`, here and below."""
    repeats: int = count(0, low=0)
    """Times that an epoch visits every scene."""
    accumulate: int = count(0, low=0)
    """Batches whose mean gradient makes a step."""
    lr: float = number(0.0, 0, 1e3)
    """Highest learning rate."""
    step_epoch: int = count(0, low=0)
    """Epoch of this phase from which the learning rate falls."""

    def __post_init__(self) -> None:
        check_ranges(self, "train.backbone.")


@dataclass(frozen=True)
class TrainConfig:
    """The recipe of training (docs/model.md, section 12). The defaults are the published ScanNetV2 run."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    epochs: int = count(300)
    """Times that training of the whole network visits all scenes (`repeats` times each)."""
    batch_size: int = count(12, high=100_000)
    """Scenes that each process sees at once."""
    repeats: int = count(1)
    """Times that an epoch visits every scene."""
    queries: int = count(256, high=1_000_000)
    """Queries of each scene: the first of its seeds."""
    mask_voxels: int = count(15_000)
    """Without superpoints, training predicts masks on so many random foreground voxels of a scene at most."""
    lr: float = number(7.5e-4, 0, 1e3, above=True)
    """Highest learning rate, for the batches of all processes together (published: 1e-3 for 16 scenes)."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    step_epoch: int = count(50, low=0)
    """Epoch from which the learning rate follows a cosine down to `min_lr`."""
    min_lr: float = number(1e-6, 0, 1e3)
    """Learning rate at the end of the last epoch."""
    warmup_steps: int = count(0, low=0)
    """Steps over which the learning rate rises from zero."""
    accumulate: int = count(1)
    """Batches whose mean gradient makes a step (published: 16 batches)."""
    clip_grad: float = number(0.0, 0, 1e9)
    """Largest gradient norm; 0: no clipping."""
    fixed_modules: tuple[str, ...] = ()
    """Modules that stay as they are, by name; their batch norm stays in eval."""
    init: str = ""
    """Weights to start from: a preset's name, own .safetensors, or a .pth of Spherical Mask or ISBNet. What
    does not fit, as the heads of other classes, starts anew."""
    teacher: str = ""
    """Weights whose backbone's features the backbone learns, too (a preset's name or .safetensors): a large
    network teaches a smaller one."""
    prior_slope: float = number(4.0, 0, 1e3)
    """How clearly a query's first mask is of what is near it, per model unit; 0: random first weights, as
    published, whose masks stay empty for hundreds of steps."""
    prior_radius: float = number(0.5, 0, 1e3)
    """Reach of a query's first mask and length of its first rays, model units."""
    ema: float = number(0.0, 0, 1)
    """Decay of the averaged weights that validation and the result use; 0: the last weights."""
    validate_every: int = count(10)
    """Epochs between validations."""
    log_every: int = count(50, low=0)
    """Steps between rows of the log within an epoch; 0: one row an epoch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers of the network in training; bfloat16 needs CUDA. Losses and weights are float32 in any case."""
    tensorboard: bool = False
    """Write losses, scores and pictures for TensorBoard as well."""
    seed: int = count(0, low=0, high=2**31 - 1)
    """Seed of the initial weights, the order of scenes and their augmentation."""
    workers: int = count(0, low=0, high=1024)
    """Processes that load scenes; 0: the training process does."""

    def __post_init__(self) -> None:
        check_ranges(self, "train.")
        if self.ema >= 1:
            raise ConfigError(f"train.ema: must be less than 1, not {self.ema}")
