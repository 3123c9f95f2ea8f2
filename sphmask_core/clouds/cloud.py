# SPDX-License-Identifier: Apache-2.0
"""Point clouds: reading .pcd, .ply, .npz, .npy and .bin, writing .ply; bad files give one clear line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from plyfile import PlyData, PlyElement

from sphmask_core.clouds.coordinates import far_offset
from sphmask_core.clouds.limits import (
    MAX_POINTS,
    check_npy,
    check_npz,
    check_ply,
    check_points,
    check_regular,
)
from sphmask_core.clouds.pcd import parse_pcd
from sphmask_core.palette import BRIGHTEST, color_bytes
from sphmask_core.runtime.files import replacing
from sphmask_core.runtime.wording import one_line

Columns = Mapping[str, np.ndarray]

COLOR_NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
LABEL_NAMES = ("label", "labels", "scalar_label", "instance", "instance_id")
SUFFIXES = (".pcd", ".ply", ".npz", ".npy", ".bin")
XYZ_KEYS = ("xyz", "points", "coords")
SHAPE_KEY = "shape"
"""Array of an .npz file with the (height, width) of an image whose points are listed row by row."""
RGB_KEYS = ("rgb", "colors", "colours")
PLY_TYPES = {"i8": "i4", "u8": "u4", "b1": "u1", "f2": "f4"}
LABEL_COLUMN = 6
"""Column of the label in an array whose rows are x, y, z, r, g, b, label."""
SCAN_COLUMNS = 4
"""Numbers of a point in KITTI's layout: x, y, z, intensity."""
FLOAT32 = 4
"""Bytes of a float32."""
LARGEST_LABEL = float(2**53)
"""Float64 holds every whole number up to this one."""
PACKED_SHIFTS = (16, 8, 0)
"""Bits by which red, green and blue are shifted in PCL's packed 0xRRGGBB."""
WIDE_TO_BYTE = 257
"""Divides 16-bit colors, so that 65535 becomes 255."""


@dataclass(frozen=True)
class Cloud:
    """Holds a point cloud as it stands in its file, with every point."""

    xyz: np.ndarray
    """(N, 3) float32, meters; all three NaN where a sensor saw nothing.

    Float64 where a file has float64 coordinates that float32 would round, as UTM's (see `far_offset`), and
    where a message has float64, whatever they are.
    """
    rgb: np.ndarray | None
    """(N, 3) uint8, or None where the file has no colors."""
    labels: np.ndarray | None
    """(N,) int64, the file's `label` field, or None where it has none."""
    shape: tuple[int, int]
    """(height, width) of an image of points, row by row; (1, N) of points in no order."""

    @property
    def organized(self) -> bool:
        """Returns whether the points are an image, as one sensor sees it at once."""
        return self.shape[0] > 1


class CloudError(ValueError):
    """Says in one line which file is no usable cloud, what is wrong, and what would do."""


def read_cloud(path: str | Path, max_points: int = MAX_POINTS) -> Cloud:
    """Returns the point cloud of a .pcd, .ply, .npz, .npy or .bin file.

    Raises CloudError, which names the file, where it is missing, damaged, no cloud, or one of more than
    `max_points` points.
    """
    path = Path(path)
    parse = _parser(path)
    try:
        check_regular(path)
        path.open("rb").close()
        with warnings.catch_warnings():  # of parsers, beside the one line that we say
            warnings.simplefilter("ignore")
            return _validated(parse(path, max_points))
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise CloudError(f"{path}: {_os_reason(error)}") from None
    except Exception as error:  # parsers of untrusted bytes: whatever they raise, the file is no cloud
        raise CloudError(f"{path}: {_reason_of(error)}") from error


def write_ply(path: str | Path, cloud: Cloud, fields: Mapping[str, np.ndarray]) -> None:
    """Writes a binary .ply with x y z, colors and `fields` (name -> (N,)) of every point, whole or not at
    all."""
    columns: dict[str, np.ndarray] = dict(zip("xyz", cloud.xyz.T, strict=True))
    if cloud.rgb is not None:
        columns |= dict(zip(COLOR_NAMES[0], cloud.rgb.T, strict=True))
    columns |= {
        name: column.astype(PLY_TYPES.get(column.dtype.str[1:], column.dtype))
        for name, column in fields.items()
    }
    dtype = [(name, column.dtype.newbyteorder("<")) for name, column in columns.items()]
    vertices = np.empty(len(cloud.xyz), dtype)
    for name, column in columns.items():
        vertices[name] = column
    rows, cols = cloud.shape
    # The convention of range scans.
    info = [f"num_cols {cols}", f"num_rows {rows}"] if cloud.organized else []
    ply = PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<", obj_info=info)
    with replacing(path) as temporary:
        ply.write(str(temporary))


def _parser(path: Path) -> Callable[[Path, int], Cloud]:
    parsers = dict(zip(SUFFIXES, (_pcd, _ply, _npz, _npy, _bin), strict=True))
    if path.suffix.lower() not in parsers:
        raise CloudError(f"{path}: unknown format {path.suffix!r}; give one of {', '.join(parsers)}")
    return parsers[path.suffix.lower()]


def _os_reason(error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "is a folder; give point cloud files"
    return (
        "no such file" if isinstance(error, FileNotFoundError) else "may not be read: check its permissions"
    )


def _reason_of(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "damaged: it announces more points than memory holds"
    text = one_line(error)
    return text if type(error) in (ValueError, CloudError) else f"cannot be read as a point cloud ({text})"


def _validated(cloud: Cloud) -> Cloud:
    """Returns the cloud, points without a position set to NaN in all coordinates."""
    if cloud.shape[0] * cloud.shape[1] != len(cloud.xyz):
        raise ValueError(f"{len(cloud.xyz)} points do not make {cloud.shape[0]} rows of {cloud.shape[1]}")
    if len(cloud.xyz) == 0:
        raise ValueError("holds no points")
    for name, values in (("colors", cloud.rgb), ("labels", cloud.labels)):
        if values is not None and len(values) != len(cloud.xyz):
            raise ValueError(f"{len(values)} {name} for {len(cloud.xyz)} points")
    invalid = ~np.isfinite(cloud.xyz).all(1)
    if invalid.all():
        raise ValueError("holds no valid point: every position is NaN or infinite")
    cloud.xyz[invalid] = np.nan
    return cloud


def _expect(path: Path, magic: bytes, what: str) -> None:
    with path.open("rb") as file:
        if file.read(len(magic)) != magic:
            raise ValueError(f"not {what}: it does not start with {magic!r}")


def _pcd(path: Path, most: int) -> Cloud:
    columns, shape = parse_pcd(path.read_bytes(), most)
    return _from_columns(columns, shape)


def _ply(path: Path, most: int) -> Cloud:
    _expect(path, b"ply", "a PLY file")
    check_ply(path, most)
    triangles = {"face": {"vertex_indices": 3, "vertex_index": 3}}
    with np.errstate(over="ignore", invalid="ignore"):  # numbers of a text that are too large for their type
        try:
            ply = PlyData.read(str(path), known_list_len=triangles)
        except Exception:  # not all faces are triangles: read them one by one
            ply = PlyData.read(str(path))
    if "vertex" not in ply:
        raise ValueError("has no 'vertex' element")
    vertices = ply["vertex"].data
    sizes = re.findall(r"num_(cols|rows)\s+(\d+)", "\n".join(ply.obj_info))
    size = {name: int(value) for name, value in sizes}
    shape = (size.get("rows", 1), size.get("cols", len(vertices)))
    return _from_columns({name: vertices[name] for name in vertices.dtype.names}, shape)


def _from_columns(columns: Columns, shape: tuple[int, int]) -> Cloud:
    missing = [axis for axis in "xyz" if axis not in columns]
    if missing:
        raise ValueError(f"has no field {', '.join(missing)}; its fields: {', '.join(columns)}")
    for name, column in columns.items():
        if name in "xyz" and column.ndim != 1:
            raise ValueError(f"field {name} has {column.shape[1]} values a point, not one")
    labels = next((columns[name] for name in LABEL_NAMES if name in columns), None)
    return Cloud(
        xyz=_floats(np.stack([columns[axis] for axis in "xyz"], 1)),
        rgb=column_colors(columns),
        labels=None if labels is None else _integers(labels),
        shape=shape,
    )


def column_colors(columns: Columns) -> np.ndarray | None:
    """Returns (N, 3) uint8 from packed 0xRRGGBB (PCL's `rgb`, `rgba`) or from three fields."""
    for name in ("rgb", "rgba"):
        if name in columns:
            return _unpacked(name, columns[name])
    for names in COLOR_NAMES:
        if all(name in columns for name in names):
            return _bytes(np.stack([columns[name] for name in names], 1))
    return None


def _unpacked(name: str, packed: np.ndarray) -> np.ndarray:
    if packed.dtype.itemsize != FLOAT32 or packed.ndim != 1:
        raise ValueError(f"field {name} must be one float32 or uint32 a point, packed 0xRRGGBB")
    numbers = np.ascontiguousarray(packed).view("<u4")
    rgb = np.empty((len(numbers), 3), np.uint8)
    for column, shift in zip(rgb.T, PACKED_SHIFTS, strict=True):
        column[:] = numbers >> shift & BRIGHTEST
    return rgb


def _npz(path: Path, most: int) -> Cloud:
    _expect(path, b"PK", "an .npz archive")
    check_npz(path, frozenset((*XYZ_KEYS, *RGB_KEYS, *LABEL_NAMES, SHAPE_KEY)), most)
    with np.load(path, allow_pickle=False) as arrays:
        xyz = _first(arrays, XYZ_KEYS)
        if xyz is None:
            raise ValueError(f"has no array xyz; its arrays: {', '.join(arrays.files) or 'none'}")
        cloud = _from_arrays(xyz, _first(arrays, RGB_KEYS), _first(arrays, LABEL_NAMES))
        shape = _first(arrays, (SHAPE_KEY,))
    if shape is None:
        return cloud
    if shape.shape != (2,) or shape.dtype.kind not in "iu" or shape.min() < 0:
        raise ValueError(f"shape must be two whole numbers (height, width), not {shape.dtype} {shape.shape}")
    return replace(cloud, shape=(int(shape[0]), int(shape[1])))


def _first(arrays: Any, keys: Sequence[str]) -> np.ndarray | None:
    return next((arrays[key] for key in keys if key in arrays.files), None)


def _npy(path: Path, most: int) -> Cloud:
    _expect(path, b"\x93NUMPY", "an .npy array")
    with path.open("rb") as file:
        check_npy(file, path.stat().st_size, most)
    table = np.load(path, allow_pickle=False)
    if table.ndim not in (2, 3) or table.shape[-1] < 3:
        raise ValueError("must be an array of one row a point: x, y, z [, r, g, b [, label]]")
    columns = table.shape[-1]
    rgb = table[..., 3:LABEL_COLUMN] if columns >= LABEL_COLUMN else None
    labels = table[..., LABEL_COLUMN] if columns > LABEL_COLUMN else None
    return _from_arrays(table[..., :3], rgb, labels)


def _bin(path: Path, most: int) -> Cloud:
    """Reads KITTI's layout: float32 x, y, z, intensity of each point, little-endian; intensity is not
    read."""
    size = path.stat().st_size
    if size % (FLOAT32 * SCAN_COLUMNS):
        raise ValueError(f"{size} bytes are no rows of float32 x, y, z, intensity (KITTI's layout)")
    check_points(size // (FLOAT32 * SCAN_COLUMNS), most)
    scan = np.fromfile(path, "<f4").reshape(-1, SCAN_COLUMNS)
    return _from_arrays(scan[:, :3], None, None)


def _from_arrays(xyz: np.ndarray, rgb: np.ndarray | None, labels: np.ndarray | None) -> Cloud:
    """Returns a cloud of (N, 3) arrays, or of images (H, W, 3)."""
    for name, array in (("xyz", xyz), ("rgb", rgb)):
        if array is not None and (
            array.ndim not in (2, 3) or array.shape[-1] < 3 or array.dtype.kind not in "fiu"
        ):
            raise ValueError(
                f"{name} must be numbers (N, 3) or (height, width, 3), not {array.dtype} {array.shape}"
            )
    shape = (1, len(xyz)) if xyz.ndim == 2 else (xyz.shape[0], xyz.shape[1])
    return Cloud(
        xyz=_floats(xyz.reshape(-1, xyz.shape[-1])[:, :3]),
        rgb=None if rgb is None else _bytes(rgb.reshape(-1, rgb.shape[-1])[:, :3]),
        labels=None if labels is None else _integers(labels.reshape(-1)),
        shape=shape,
    )


def _floats(values: np.ndarray) -> np.ndarray:
    """Returns a float32 copy of (N, 3) in the machine's byte order; float64 where float32 would round."""
    wide = values.dtype.itemsize > FLOAT32 and far_offset(values).any()
    with np.errstate(over="ignore"):
        return np.array(values, np.float64 if wide else np.float32, order="C")


def _bytes(colors: np.ndarray) -> np.ndarray:
    """Returns colors as uint8; floats are in [0, 1] or, when any is larger, [0, 255]; large integers are
    16-bit."""
    if colors.dtype == np.uint8:
        return np.ascontiguousarray(colors)
    values = np.nan_to_num(colors.astype(np.float64), nan=0.0)
    largest = values.max(initial=0.0)
    if colors.dtype.kind == "f":
        values = values * (BRIGHTEST if largest <= 1.0 else 1.0)
    elif largest > BRIGHTEST:
        values = values / WIDE_TO_BYTE
    return color_bytes(values)


def _integers(labels: np.ndarray) -> np.ndarray:
    """Returns labels as int64; a label that is no number is -1."""
    if labels.ndim != 1 or labels.dtype.kind not in "fiub":
        raise ValueError(f"labels must be one number a point, not {labels.dtype} {labels.shape}")
    if labels.dtype.kind != "f":
        return labels.astype(np.int64)
    return np.clip(np.nan_to_num(labels, nan=-1.0), -LARGEST_LABEL, LARGEST_LABEL).astype(np.int64)
