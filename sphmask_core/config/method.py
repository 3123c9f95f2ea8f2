# SPDX-License-Identifier: Apache-2.0
"""Settings of the method: superpoints, network, and the way from its outputs to instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sphmask_core.config.ranges import check_ranges, count, number

MOST_TURNS = 4
"""Quarter turns after which a cloud looks as before."""


@dataclass(frozen=True)
class ModelConfig:
    """Describes the network (docs/model.md, sections 2 to 6). The defaults are the published ScanNetV2
    model."""

    backbone: str = ""
    """Another backbone, `module:Class` (docs/backbones.md); none: the published sparse U-Net."""
    channels: int = count(32, high=1024)
    """Width C of the U-Net's first level; level l has (l + 1) C channels."""
    levels: int = count(7, high=16)
    """Levels of the U-Net, each half as fine as the one before."""
    blocks: int = count(2, high=16)
    """Residual blocks of a level on its way down, and as many on its way up."""
    query_dim: int = count(128, high=4096)
    """Width D of the query heads."""
    mask_dim: int = count(32, high=512)
    """Width M of the mask features and of each query's own migration network."""
    migration_layers: Literal[2, 3] = 2
    """Layers of each query's migration network; ISBNet has three."""
    migrations: Literal[1, 2] = 2
    """Times that a point is moved by its migration: the paper says once (eq. 5), published weights need 2."""
    rays: tuple[int, int] = count((5, 5), high=64)
    """Sectors of the sphere: polar R_h, azimuth R_w."""
    with_coords: bool = True
    """Feed the mean coordinate of a voxel to the network beside its color."""
    use_superpoints: bool = True
    """Predict masks over superpoints; off: every voxel is its own superpoint."""
    seeds: int = count(2048, high=1_000_000)
    """Foreground voxels that the first local aggregator samples."""
    neighbors: int = count(32, high=1024)
    """Neighbors that a ball query gathers."""
    radius_scale: float = number(1.0, 0, 1000, above=True)
    """Factor on the aggregators' radii (0.2 and 0.4 model units)."""
    voxel_scale: float = number(50.0, 0, 1e6, above=True)
    """Voxels per model unit; a unit is `voxel_size * voxel_scale` meters (1 m for 2 cm voxels)."""

    def __post_init__(self) -> None:
        check_ranges(self, "model.")


@dataclass(frozen=True)
class InferenceConfig:
    """Says how instances are made of the network's outputs (docs/model.md, sections 4 and 8)."""

    foreground_threshold: float = number(0.1, 0, 1)
    """A superpoint whose mean softmax of an instance class reaches this is foreground."""
    foreground_masks: bool = False
    """Let masks consist of foreground superpoints alone: the others are not looked at, which saves time."""
    min_points: int = count(100, low=0)
    """Fewest voxels, and later points, that an instance may have."""
    classes: Literal["every", "best", "any"] = "every"
    """What a query is a candidate for: `every` class with that class's score (as published), its `best` class
    alone, or its best class with the score of being `any` object, for classes that are often mistaken."""
    max_instances: int = count(90)
    """Candidates kept before NMS, of each view (`turns`)."""
    nms: Literal["matrix", "standard"] = "matrix"
    """Matrix NMS lowers the scores of overlapping masks; standard NMS drops them."""
    nms_threshold: float = number(0.2, 0, 1)
    """IoU above which standard NMS drops a mask."""
    nms_sigma: float = number(2.0, 0, 1000)
    """Sharpness of matrix NMS' Gaussian decay (published: 2)."""
    queries: int = count(256, high=1_000_000)
    """Queries that one-round inference samples, whatever training samples."""
    voxels_per_query: int = count(0, low=0)
    """Foreground voxels to a query of one-round inference, which then has fewer than `queries` where there is
    little to find, and two seeds to a query; 0: always `queries` queries and `model.seeds` seeds."""
    iterative_sampling: bool = True
    """Three rounds of queries, each on what the earlier ones left uncovered."""
    turns: int = count(1, high=MOST_TURNS)
    """Times that the network sees a cloud that is no camera's frame, each time turned on by a quarter about
    the vertical; the candidates of all these views compete (test-time augmentation)."""
    whole_classes: tuple[int, ...] = count((), low=0)
    """Semantic classes whose mask is itself one instance (S3DIS: ceiling, floor)."""
    parts: int = count(1, high=1024)
    """Interleaved parts of a cloud that the backbone sees one by one, as dense as the clouds it was trained
    on (S3DIS: 4)."""
    min_score: float = number(0.0, 0, 1)
    """Instances below this score are not returned."""
    class_factors: tuple[float, ...] = number((), 0, 1)
    """Factor of the scores of each instance class, none: 1. For classes that the training is surer of than
    the data that the model is for bear out."""
    full_voxels: int = count(0, low=0)
    """Voxels below which an instance is less sure than the network says, and its score is lowered; 0: none,
    as published."""
    agreement: float = number(0.0, 0, 1)
    """Power of the factor on a score that says how far the queries inside the mask agree on it: 0.5 counts it
    as probability and confidence are counted; 0: not at all, as published."""
    min_own: float = number(0.0, 0, 1)
    """An instance with a smaller share of points that no better one has is a repeat and is not returned."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Numbers that the backbone's convolutions multiply on the CPU; they are added in float32. bfloat16 is
    for processors that multiply it faster (AVX512-BF16); others stay with float32."""
    block_voxels: int = count(500_000)
    """Voxels that the network sees at once; larger clouds are segmented in overlapping blocks and merged."""

    def __post_init__(self) -> None:
        check_ranges(self, "inference.")


@dataclass(frozen=True)
class SuperpointConfig:
    """Says how superpoints are found from points alone (docs/model.md, section 4)."""

    threshold: float = number(0.1, 0, 1e6)
    """Felzenszwalb's k, relative to the edge weight in [0, 1]: larger merges more."""
    convex: float = number(0.1, 0, 1e6)
    """Weight of a convex edge relative to a concave one of the same angle."""
    color: float = number(0.0, 0, 1e6)
    """Weight of the distance between two voxels' colors, each in [-1, 1]^3: parts faces that are flush."""
    neighbors: int = count(8, high=20)
    """Nearest voxels that each voxel has an edge to."""
    min_voxels: int = count(20)
    """Smaller segments join the neighbor with the lightest edge."""

    def __post_init__(self) -> None:
        check_ranges(self, "superpoints.")
