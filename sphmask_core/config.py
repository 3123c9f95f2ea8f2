# SPDX-License-Identifier: Apache-2.0
"""Typed configuration: the single source of every default (see config/*.yaml for the presets)."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

_HERE = Path(__file__).resolve().parent
PRESET_DIR = _HERE / "presets" if (_HERE / "presets").is_dir() else _HERE.parent / "config"
"""Of an installed package, or of a checkout, where the node's parameters lie beside the presets."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line that names the key and what would do."""


@dataclass(frozen=True)
class ModelConfig:
    """Architecture (MODEL.md's symbols; the defaults are the published ScanNetV2 model)."""

    channels: int = 32
    """Width C of the U-Net's first level; level l has (l + 1) C channels."""
    num_blocks: int = 7
    """Levels of the U-Net, each half as fine as the one before."""
    dec_dim: int = 128
    """Width D of the query heads."""
    mask_dim: int = 32
    """Width M of the mask features and of each query's own migration network."""
    num_dyco_layer: Literal[2, 3] = 2
    """Layers of each query's migration network; ISBNet has three."""
    rays: tuple[int, int] = (5, 5)
    """Sectors of the sphere: polar R_h, azimuth R_w."""
    with_coords: bool = True
    """Feed the mean coordinate of a voxel to the network beside its colour."""
    use_spp_pool: bool = True
    """Predict masks over superpoints; off: every voxel is its own superpoint."""
    n_sample_pa1: int = 2048
    """Points that the first local aggregator samples."""
    n_queries: int = 256
    """Queries that the second local aggregator samples."""
    neighbor: int = 32
    """Neighbours that a ball query gathers."""
    radius_scale: float = 1.0
    """Factor on the aggregators' radii (0.2 and 0.4 model units)."""
    voxel_scale: float = 50.0
    """Voxels per model unit; a unit is `voxel_size * voxel_scale` metres (1 m for 2 cm voxels)."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = min(value) if isinstance(value, tuple) else value
            if not isinstance(value, bool) and not least > 0:
                raise ConfigError(f"model.{name} must be more than 0, not {value}")


@dataclass(frozen=True)
class InferenceConfig:
    """From network outputs to instances (MODEL.md, sections 4 and 8)."""

    filter_bg_thresh: float = 0.1
    """A superpoint whose mean softmax of an instance class reaches this is foreground."""
    npoint_thresh: int = 100
    """Fewest voxels, and later points, that an instance may have."""
    max_instances: int = 90
    """(query, class) pairs kept before NMS."""
    type_nms: Literal["matrix", "standard"] = "matrix"
    """Matrix NMS lowers the scores of overlapping masks; standard NMS drops them."""
    nms_threshold: float = 0.2
    """IoU above which standard NMS drops a mask."""
    queries: int = 256
    """Queries that one-round inference samples, whatever training samples."""
    iterative_sampling: bool = True
    """Three rounds of queries, each on what the earlier ones left uncovered."""
    compat: Literal["corrected", "published"] = "corrected"
    """`published` restores two defects of the published code, for comparison: predicted centres clamped to
    >= 0.01, and iterative sampling that reads superpoints by the wrong numbers."""
    sem2ins_classes: tuple[int, ...] = ()
    """Semantic classes whose mask is itself one instance (S3DIS: ceiling, floor)."""
    parts: int = 1
    """Interleaved parts of a cloud that the backbone sees one by one, as dense as the clouds it was trained
    on (S3DIS: 4); training takes each part of a scene as a scene."""
    min_score: float = 0.0
    """Instances below this score are not returned."""
    agreement: bool = False
    """Multiply scores by how far the queries inside a mask agree on it; off: as published."""
    min_own: float = 0.0
    """An instance with a smaller share of points that no better one has is a repeat and is not returned."""
    block_voxels: int = 500_000
    """Voxels that the network sees at once; larger clouds are segmented in overlapping blocks and merged."""


@dataclass(frozen=True)
class SuperpointConfig:
    """Over-segmentation from points alone."""

    threshold: float = 0.1
    """Felzenszwalb's k, relative to the edge weight in [0, 1]: larger merges more."""
    convex: float = 0.1
    """Weight of a convex edge relative to a concave one of the same angle."""
    color: float = 0.0
    """Weight of the distance between two voxels' colours, each in [-1, 1]^3: parts faces that are flush."""
    neighbors: int = 8
    """Nearest voxels that each voxel has an edge to."""
    min_voxels: int = 20
    """Smaller segments join the neighbour with the lightest edge."""


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of training scenes (MODEL.md, section 11); standard deviations unless said otherwise."""

    axis_jitter: float = 0.1
    """Of each entry of a 3x3 map added to the identity."""
    flip: str = "xy"
    """Axes to mirror, each with chance 1/2."""
    turn: float = 180.0
    """Largest turn about z, uniform, degrees."""
    tilt: float = 0.0
    """Of the turns about x and y, degrees."""
    scale: float = 0.0
    """Largest relative change of size, uniform."""
    z_shift: float = 0.0
    """Of a shift along z, model units."""
    elastic: tuple[tuple[float, float], ...] = ((10.0, 60.0), (30.0, 180.0))
    """(granularity, magnitude) of smooth distortions, voxels."""
    elastic_chance: float = 1.0
    """Chance of each distortion."""
    color_jitter: float = 0.1
    """Of gain and shift of each channel, a scene at a time; colours are in [-1, 1]."""
    color_noise: float = 0.0
    """Of the noise of each point's colour."""
    color_drop: float = 0.0
    """Chance that a scene loses its colours."""
    point_drop: float = 0.0
    """Largest share of points left out, uniform."""
    crop_chance: float = 0.0
    """Chance that a scene is cropped to its instances and a random margin."""
    crop_margin: float = 1.0
    """Largest margin of the crop on each side in x and y, model units."""
    max_points: int = 250_000
    """Larger scenes are cropped to this many points: a random window of the ground plan."""


@dataclass(frozen=True)
class FieldsConfig:
    """Where own clouds have their labels (`python -m training.prepare folder`)."""

    semantic: str = "label"
    """Field of the class; of a plain .npy table the column's number, from 0."""
    instance: str = "instance"
    """Field of the object's number."""
    label_ids: tuple[int, ...] = ()
    """Value of each semantic class; other values are unlabelled. None: 0, 1, 2, ..."""
    no_instance: int = -1
    """Object's number of points that belong to none; negative numbers always mean that."""


@dataclass(frozen=True)
class TrainConfig:
    """Recipe (MODEL.md, section 11; the defaults are the published ScanNetV2 run)."""

    dataset: str = "scannetv2"
    """Name of a module in training/datasets."""
    root: str = ""
    """Folder of the data set."""
    area: int = 5
    """Area that validation holds out, where a data set comes in areas (S3DIS)."""
    hold_out: bool = True
    """Keep the scenes of validation out of training (mOSD); off: once they have chosen the settings."""
    simulated: int = 0
    """Simulated scenes, in the data sets that have them."""
    mixed: int = 0
    """Scenes that data set `tabletop` makes of the objects of several real ones."""
    real_repeats: int = 1
    """Times that an epoch of data set `tabletop` visits a real scene for once a simulated one."""
    epochs: int = 300
    batch_size: int = 12
    """Scenes that each process sees at once."""
    repeats: int = 1
    """Times that an epoch visits every scene."""
    lr: float = 1e-3
    """Highest learning rate, for the batches of all processes together."""
    weight_decay: float = 1e-4
    step_epoch: int = 50
    """Epoch from which the learning rate follows a cosine down to `min_lr`."""
    min_lr: float = 1e-6
    warmup_steps: int = 0
    """Steps over which the learning rate rises from zero."""
    backbone_epochs: int = 0
    """First epochs that train backbone and point-wise heads alone."""
    pointwise_weight: float = 0.25
    """Weight of the point-wise terms of the loss beside the queries' terms."""
    quality_weight: float = 0.0
    """Weight of a term that teaches every query the IoU of its mask, so that scores rank the unmatched ones
    too; 0: the matched ones alone, as published."""
    accumulate: int = 1
    """Batches whose mean gradient makes a step."""
    clip_grad: float = 0.0
    """Largest gradient norm; 0: no clipping."""
    fixed_modules: tuple[str, ...] = ()
    """Modules that stay as they are, by name; their batch norm stays in eval."""
    init: str = ""
    """Weights to start from: a preset's name, own .safetensors, or a .pth of Spherical Mask or ISBNet. What
    does not fit, as the heads of other classes, starts anew."""
    class_weights: tuple[float, ...] = ()
    """Weights of the semantic classes in the point-wise cross-entropy; none: all 1."""
    ema: float = 0.0
    """Decay of the averaged weights that validation and the result use; 0: the last weights."""
    validate_every: int = 10
    """Epochs between validations."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network in training; bfloat16 needs CUDA. Losses and weights are float32 in any case."""
    tensorboard: bool = False
    """Write losses, scores and pictures for TensorBoard as well."""
    seed: int = 0
    """Of the initial weights, the order of scenes and their augmentation."""
    workers: int = 0
    """Processes that load scenes; 0: the training process does."""

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size", "repeats", "accumulate", "validate_every"):
            if getattr(self, key) < 1:
                raise ConfigError(f"train.{key}: must be at least 1, not {getattr(self, key)}")


@dataclass(frozen=True)
class Config:
    """A preset: classes, scale, architecture, inference and training recipe."""

    name: str = "scannetv2"
    semantic_classes: tuple[str, ...] = ()
    """All classes that the semantic head tells apart; those without instances come first."""
    instance_classes: tuple[str, ...] = ()
    """The last classes of `semantic_classes`: those that have instances."""
    voxel_size: float = 0.02
    """Edge of a voxel, metres."""
    up: Literal["z", "plane"] = "z"
    """The clouds' vertical: `z`, or `plane`: the normal of the largest plane, towards the sensor."""
    model: ModelConfig = field(default_factory=ModelConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    superpoints: SuperpointConfig = field(default_factory=SuperpointConfig)
    fields: FieldsConfig = field(default_factory=FieldsConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        tail = self.semantic_classes[self.class_shift :]
        if self.class_shift < 0 or tail != self.instance_classes:
            raise ConfigError("instance_classes must be the last entries of semantic_classes")
        if not self.voxel_size > 0:
            raise ConfigError(f"voxel_size must be a positive number of metres, not {self.voxel_size}")

    @property
    def class_shift(self) -> int:
        """Semantic classes before the first instance class."""
        return len(self.semantic_classes) - len(self.instance_classes)

    @property
    def found_classes(self) -> tuple[str, ...]:
        """Names of the classes that instances are of: `instance_classes`, then those of `sem2ins_classes`."""
        return tuple(self.semantic_classes[i] for i in self.semantic_ids)

    @property
    def semantic_ids(self) -> tuple[int, ...]:
        """Semantic class of each of `found_classes`."""
        return (*range(self.class_shift, len(self.semantic_classes)), *self.inference.sem2ins_classes)

    @property
    def whole_ids(self) -> range:
        """The classes among `found_classes` that are one instance each."""
        return range(len(self.instance_classes), len(self.semantic_ids))

    @property
    def unit(self) -> float:
        """Metres in one model unit: one voxel is always 1 / voxel_scale units (2 cm at 50)."""
        return self.voxel_size * self.model.voxel_scale


def load_config(source: str | Path) -> Config:
    """Read a preset by name (`tabletop`) or by path; every key must be known."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = PRESET_DIR / f"{source}.yaml"
    if not path.is_file():
        presets = ", ".join(sorted({p.stem for p in PRESET_DIR.glob("*.yaml")} - {"segment_node"}))
        raise ConfigError(f"{source}: no such configuration; give a .yaml file or one of: {presets}")
    try:
        values = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys to values")
    return from_dict({"name": path.stem, **values})


def from_dict(values: dict[str, Any]) -> Config:
    """Build a Config from nested plain values, as YAML and weight files store it."""
    return typing.cast(Config, _build(Config, values, ""))


def to_dict(config: Config) -> dict[str, Any]:
    """Nested plain values, the inverse of `from_dict`."""
    return dataclasses.asdict(config)


def _build(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.')}: expected a mapping, got {values!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(f"{prefix}{unknown[0]}: unknown key; known: {', '.join(hints)}")
    return cls(**{key: _coerce(hints[key], value, prefix + key) for key, value in values.items()})


def _coerce(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, key + ".")
    origin = typing.get_origin(hint)
    if origin is Literal:
        return _one_of(typing.get_args(hint), value, key)
    if origin is tuple:
        return _tuple(typing.get_args(hint), value, key)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{key}: expected {hint.__name__}, got {value!r}")
    return value


def _one_of(choices: tuple[Any, ...], value: Any, key: str) -> Any:
    if value not in choices:
        raise ConfigError(f"{key}: must be one of {', '.join(map(str, choices))}, not {value!r}")
    return value


def _tuple(hints: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: expected a list, got {value!r}")
    if Ellipsis not in hints and len(value) != len(hints):
        raise ConfigError(f"{key}: expected {len(hints)} values, got {len(value)}")
    return tuple(_coerce(hints[0], item, f"{key}[{i}]") for i, item in enumerate(value))
