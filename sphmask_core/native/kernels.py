# SPDX-License-Identifier: Apache-2.0
"""The table of all C functions: what each takes. What each does stands in `kernels.h`, in the same order.

A name in a shape stands for a size, the same one throughout a function; `boundary` checks it all.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from sphmask_core.native.boundary import (
    BOOL,
    FLOAT32,
    FLOAT32_MAX,
    FLOAT64,
    INT32,
    INT64,
    UINT8,
    UINT32,
    Argument,
    Signature,
    array,
    maybe,
    out,
    real,
    whole,
)
from sphmask_core.native.library import choose_level, open_library

COORDINATE_BITS = 18
"""Bits of one axis in a packed voxel, as in keys.h; coordinates run from 0 to 2^18 - 3."""
MOST_SCENE = 2**9 - 1
"""Number of a scene in a packed voxel, at most."""
MOST_TILE_ROWS = 256
"""Output rows of a tile, whose places are bytes."""
MOST_LEVELS, MOST_BLOCKS = 16, 16
"""Levels of a U-Net, and residual blocks of a level on either side, at most."""
MOST_NEIGHBORS = 20
"""Nearest voxels that superpoints know of."""
MOST_NEIGHBORHOOD = 64
"""Nearest points that a normal is fitted to."""
MOST_SECTORS = 2**15
"""Sectors of a sphere each way, at most."""
SMALLEST_SPACING = 1e-30
"""Edge of a cell that can divide in float32."""
SMALLEST_EDGE = 1e-6
"""Meters: of a cell of a map of heights."""
PATCH_FLOATS, PATCH_CELLS = 25, 48
"""Numbers and cells of struct Patch in planes.cpp."""
PLANE_FLOATS, FIT_FLOATS = 13, 15
"""Numbers of the structs Plane and Fit in surfaces.cpp."""
SURFACE_FLOATS, SURFACE_CELLS = 33, 52
"""Numbers and cells of struct Surface in supports.cpp."""
MOST_THREADS = 1024
"""More than any processor runs."""
MOST_BYTES = 2**31 - 1
"""Bytes of a row of a PointCloud2, and points in it: the product of two such numbers fits into 64 bits."""

TABLE: dict[str, Signature] = {}
"""Every C function by its name; this module fills it."""
_CHOSEN = choose_level()
_LIBRARY = open_library(_CHOSEN)

LEVEL = _CHOSEN.name
"""The kind of processor whose kernels are in use: the best that this one runs, or $SPHMASK_CPU."""
BFLOAT16 = _CHOSEN.bfloat16
"""Whether products of bfloat16 numbers are faster than those of float32."""


def _function(
    name: str, result: type | None = None, parallel: bool = False, **arguments: Argument
) -> Callable[..., Any]:
    TABLE[name] = Signature(arguments, result, parallel)
    return TABLE[name].bind(_LIBRARY, name)


def bind_all(library: ctypes.CDLL) -> SimpleNamespace:
    """Returns every function of the table by its name, from another library than the one in use."""
    return SimpleNamespace(**{name: entry.bind(library, name) for name, entry in TABLE.items()})


# Calling off

watch = _function("watch", flag=maybe(array(INT32, 1)))

_positive = real(low=0)
_points = array(FLOAT32, "n", 3)
_segments = array(INT64, "n")
_picked = array(INT64, "picked")

# Points and voxels

turn = _function(
    "turn",
    points=_points,
    rotation=array(FLOAT32, 3, 3),
    origin=array(FLOAT32, 3),
    turned=out(_points),
    parallel=True,
)
voxel_keys = _function(
    "voxel_keys",
    xyz=_points,
    keys=out(array(INT64, "n")),
    scale=_positive,
    scene=whole(0, MOST_SCENE),
    most=real(0, 2**COORDINATE_BITS - 3),
    result=ctypes.c_float,
    parallel=True,
)
keep_points = _function(
    "keep_points",
    xyz=_points,
    left_out=maybe(array(BOOL, "n")),
    rows=out(array(INT64, "n")),
    points=out(_points),
    result=ctypes.c_int64,
)
mean_point = _function("mean_point", xyz=_points, mean=out(array(FLOAT64, 3)))
pick_colors = _function(
    "pick_colors",
    rgb=array(UINT8, "n", 3),
    rows=_picked,
    colors=out(array(FLOAT32, "picked", 3)),
    middle=real(SMALLEST_SPACING),
    parallel=True,
)
segment_mean = _function(
    "segment_mean",
    values=array(FLOAT32, "n", "channels"),
    segments=_segments,
    mean=out(array(FLOAT32, "count", "channels")),
    sizes=out(array(INT64, "count")),
)
segment_bounds = _function(
    "segment_bounds",
    xyz=_points,
    rows=_picked,
    segments=_picked,
    bounds=out(array(FLOAT32, "count", 6)),
    parallel=True,
)
spread_segments = _function(
    "spread_segments",
    rows=_picked,
    segments=_picked,
    labels_of=array(INT32, "count"),
    all=out(_segments),
    labels=out(array(INT32, "n")),
    parallel=True,
)
label_points = _function(
    "label_points",
    xyz=_points,
    labels=array(INT32, "n"),
    values=array(UINT32, "objects", 4),
    points=out(array(UINT32, "n", 7)),
    rgb=maybe(array(UINT8, "n", 3)),
    parallel=True,
)
read_points = _function(
    "read_points",
    data=array(UINT8, "size"),
    offsets=array(INT64, 4),
    xyz=out(_points),
    rgb=maybe(out(array(UINT8, "n", 3))),
    wide=whole(0, 1),
    columns=whole(1, MOST_BYTES),
    row_step=whole(0, MOST_BYTES),
    step=whole(0, MOST_BYTES),
    result=ctypes.c_int64,
    parallel=True,
)
back_project = _function(
    "back_project",
    depth=array(UINT8, "height", "width", "bytes"),
    cameras=array(FLOAT64, 8),
    color=array(UINT8, "rows", "columns", 3),
    pose=array(FLOAT64, 3, 4),
    xyz=out(array(FLOAT32, "height", "width", 3)),
    rgb=out(array(UINT8, "height", "width", 3)),
    unit=real(ctype=ctypes.c_double),
    registered=whole(0, 1),
    plain=whole(0, 255),
    parallel=True,
)
affine = _function(
    "affine",
    rows=_points,
    matrix=array(FLOAT32, 3, 3),
    shift=array(FLOAT32, 3),
    changed=out(_points),
)
elastic = _function(
    "elastic",
    xyz=_points,
    low=array(FLOAT32, 3),
    noise=array(FLOAT32, "x", "y", "z", 3),
    moved=out(_points),
    spacing=real(SMALLEST_SPACING),
    magnitude=real(),
)
lzf_decompress = _function(
    "lzf_decompress",
    packed=array(UINT8, "packed"),
    unpacked=out(array(UINT8, "unpacked")),
    result=ctypes.c_int64,
)

# Maps of a sparse U-Net

_coords = array(INT32, "n", 4)
_keys = array(INT64, "n")
_index = array(INT32, "kernel", "rows")
_starts = array(INT64, "starts")
_source = array(INT32, "pairs")
_target = array(UINT8, "pairs")
_tile_rows = whole(1, MOST_TILE_ROWS)

pack = _function("pack", coords=_coords, keys=out(_keys), halvings=whole(0, COORDINATE_BITS))
family = _function(
    "family",
    coords=_coords,
    parent=array(INT64, "n"),
    children=out(array(INT32, 8, "coarse")),
    parents=out(array(INT32, 8, "n")),
)
number_keys = _function(
    "number_keys", keys=_keys, inverse=out(_keys), first=out(_keys), result=ctypes.c_int64
)
find_neighbors = _function("find_neighbors", keys=_keys, neighbors=out(array(INT32, 27, "n")), parallel=True)
count_pairs = _function("count_pairs", index=_index, starts=out(_starts), tile_rows=_tile_rows, parallel=True)
list_pairs = _function(
    "list_pairs",
    index=_index,
    starts=_starts,
    source=out(_source),
    target=out(_target),
    tile_rows=_tile_rows,
    parallel=True,
)

# Convolutions, for single and double precision

_epsilon = real(0, FLOAT32_MAX, ctypes.c_double)

gather_convolve = {
    dtype: _function(
        f"gather_convolve_{name}",
        x=array(dtype, "inputs", "in"),
        starts=_starts,
        source=_source,
        target=_target,
        packed=array(dtype, "kernel", "panels", "in", "width"),
        convolved=out(array(dtype, "rows", "out")),
        start=maybe(array(dtype, "rows", "out")),
        mean=maybe(array(dtype, "out")),
        variance=maybe(array(dtype, "out")),
        weight=maybe(array(dtype, "out")),
        bias=maybe(array(dtype, "out")),
        epsilon=_epsilon,
        tile_rows=_tile_rows,
        parallel=True,
    )
    for dtype, name in ((FLOAT32, "f32"), (FLOAT64, "f64"))
}
weight_gradient = {
    dtype: _function(
        f"weight_gradient_{name}",
        x=array(dtype, "inputs", "in"),
        starts=_starts,
        source=_source,
        target=_target,
        grad=array(dtype, "rows", "out"),
        weight_grad=out(array(dtype, "kernel", "in", "out")),
        tile_rows=_tile_rows,
        parallel=True,
    )
    for dtype, name in ((FLOAT32, "f32"), (FLOAT64, "f64"))
}
norm_relu = _function(
    "norm_relu",
    x=array(FLOAT32, "rows", "channels"),
    mean=array(FLOAT32, "channels"),
    variance=array(FLOAT32, "channels"),
    weight=array(FLOAT32, "channels"),
    bias=array(FLOAT32, "channels"),
    changed=out(array(FLOAT32, "rows", "channels")),
    epsilon=_epsilon,
    parallel=True,
)

# The method

farthest_points = _function(
    "farthest_points",
    xyz=_points,
    picked=out(array(INT64, "picks")),
    skip=maybe(array(BOOL, "n")),
    first=whole(0),
)
ball_query = _function(
    "ball_query",
    xyz=_points,
    queries=array(FLOAT32, "queries", 3),
    hits=out(array(INT64, "queries", "k")),
    radius=real(0, math.inf),
    parallel=True,
)
superpoints = _function(
    "superpoints",
    coords=array(INT32, "n", 3),
    xyz=_points,
    rgb=maybe(_points),
    labels=out(array(INT64, "n")),
    threshold=_positive,
    convex=_positive,
    color=_positive,
    min_voxels=whole(0),
    neighbors=whole(1, MOST_NEIGHBORS),
    result=ctypes.c_int64,
    parallel=True,
)
migrate = _function(
    "migrate",
    parameters=array(FLOAT32, "queries", "parameters"),
    query_xyz=array(FLOAT32, "queries", 3),
    query_sizes=array(FLOAT32, "queries", 3),
    xyz=array(FLOAT32, "superpoints", 3),
    sizes=array(FLOAT32, "superpoints", 3),
    features=array(FLOAT32, "superpoints", "mask_dim"),
    migration=out(array(FLOAT32, "queries", "superpoints")),
    layers=whole(2, 3),
    parallel=True,
)

inside_polygons = _function(
    "inside_polygons",
    xyz=_points,
    migration=array(FLOAT32, "queries", "n"),
    centers=array(FLOAT32, "queries", 3),
    lengths=array(FLOAT32, "queries", "rays"),
    inside=out(array(BOOL, "queries", "n")),
    polar=whole(1, MOST_SECTORS),
    azimuth=whole(1, MOST_SECTORS),
    factor=real(),
    parallel=True,
)
unet = _function(
    "unet",
    features=array(FLOAT32, "n", "in"),
    coords=array(INT32, "n", 4),
    norms=array(FLOAT32, "norms"),
    packed=array(FLOAT32, "packed"),
    halves=array(INT32, "pairs"),
    encoded=out(array(FLOAT32, "n", "channels")),
    levels=whole(1, MOST_LEVELS),
    blocks=whole(1, MOST_BLOCKS),
    epsilon=_epsilon,
    parallel=True,
)

# Dense layers

_widths = array(INT64, "widths")
_rectified = array(BOOL, "layers")
_packed = array(FLOAT32, "packed")

dense = _function(
    "dense",
    x=array(FLOAT32, "rows", "in"),
    widths=_widths,
    rectified=_rectified,
    packed=_packed,
    y=out(array(FLOAT32, "rows", "out")),
    parallel=True,
)
pool_neighbors = _function(
    "pool_neighbors",
    xyz=_points,
    sizes=_points,
    features=array(FLOAT32, "n", "channels"),
    neighbors=array(INT64, "queries", "k"),
    centers=array(FLOAT32, "queries", 3),
    center_sizes=array(FLOAT32, "queries", 3),
    widths=_widths,
    rectified=_rectified,
    packed=_packed,
    pooled=out(array(FLOAT32, "queries", "out")),
    radius=real(SMALLEST_SPACING),
    parallel=True,
)

# Supports

sample = _function(
    "sample",
    xyz=_points,
    jitter=array(FLOAT64, "most"),
    points=out(array(FLOAT32, "most", 3)),
    result=ctypes.c_int64,
)
planes = _function(
    "planes",
    xyz=_points,
    tolerance=array(FLOAT32, "n"),
    patches=out(array(FLOAT32, "most", PATCH_FLOATS)),
    seen=out(array(BOOL, "most", PATCH_CELLS, PATCH_CELLS)),
    fewest=whole(0),
    result=ctypes.c_int64,
)
fit_surface = _function(
    "fit_surface",
    xyz=_points,
    tolerance=array(FLOAT32, "n"),
    values=array(FLOAT32, PLANE_FLOATS),
    seen=array(BOOL, PATCH_CELLS, PATCH_CELLS),
    fitted=out(array(FLOAT64, FIT_FLOATS)),
)
on_surfaces = _function(
    "on_surfaces",
    xyz=_points,
    values=array(FLOAT32, "count", SURFACE_FLOATS),
    covered=array(BOOL, "count", SURFACE_CELLS, SURFACE_CELLS),
    marks=out(array(BOOL, "n")),
    threads=whole(1, MOST_THREADS),
)

# Ground

_level = array(FLOAT64, 3)
_meters = real(ctype=ctypes.c_double)
surface_normals = _function(
    "surface_normals",
    xyz=_points,
    normals=out(array(FLOAT64, "chosen", 3)),
    neighbors=whole(1, MOST_NEIGHBORHOOD),
    flat=real(0, 1, ctypes.c_double),
    result=ctypes.c_int64,
    parallel=True,
)
fit_level = _function("fit_level", xyz=_points, plane=out(_level), band=_meters, result=ctypes.c_int64)
near_level = _function(
    "near_level",
    xyz=_points,
    plane=_level,
    marks=out(array(BOOL, "n")),
    below=_meters,
    above=_meters,
    parallel=True,
)

_heights = array(FLOAT64, "cells", "cells")
_edge = real(SMALLEST_EDGE, FLOAT32_MAX, ctypes.c_double)
lowest = _function("lowest", xyz=_points, lowest=out(_heights), x=_meters, y=_meters, edge=_edge)
spread = _function(
    "spread", heights=out(_heights), rise=real(0, FLOAT32_MAX, ctypes.c_double), rounds=whole(0)
)
below_heights = _function(
    "below_heights",
    xyz=_points,
    heights=_heights,
    marks=out(array(BOOL, "n")),
    x=_meters,
    y=_meters,
    edge=_edge,
    above=_meters,
    parallel=True,
)

# Boxes

upright_boxes = _function(
    "upright_boxes",
    points=_points,
    starts=array(INT64, "bounds"),
    axes=array(FLOAT64, 3, 3),
    middles=out(array(FLOAT64, "boxes", 3)),
    sizes=out(array(FLOAT64, "boxes", 3)),
    turns=out(array(FLOAT64, "boxes", 2, 2)),
)
