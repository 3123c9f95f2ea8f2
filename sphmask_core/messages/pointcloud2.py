# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 to and from numpy arrays, whatever its layout and byte order."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

import numpy as np

from sphmask_core import native
from sphmask_core.clouds.cloud import COLOR_NAMES, Cloud, CloudError, column_colors
from sphmask_core.clouds.coordinates import check_near
from sphmask_core.messages import Make
from sphmask_core.method.instances import Instances
from sphmask_core.palette import MID_GRAY, object_colors
from sphmask_core.tracking import Tracks

DATATYPES = dict(enumerate(("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"), start=1))
"""numpy's name of PointField.INT8, UINT8, ..., FLOAT64."""
COLOR_FIELDS = {"rgb", "rgba"}.union(*COLOR_NAMES)
PACKED = ("rgb", "rgba")
PACKED_TYPES = (np.dtype("<f4"), np.dtype("<u4"), np.dtype("<i4"))
LARGEST_PIXEL = 2**16 - 1
"""Largest id that a pixel of a label image holds."""
PLAIN = np.full((1, 3), MID_GRAY, np.uint8)
LABEL = [("rgb", "<f4"), ("label", "<u4"), ("score", "<f4"), ("class_id", "<i4")]
"""What labeled points have beside their position, 4 bytes each."""
NUMBER = 4
"""Bytes of a float32 and of each of LABEL's numbers."""


def read_points(msg: Any, names: Container[str]) -> np.ndarray:
    """Returns the fields in `names` as a structured array (height, width) over the message's own memory."""
    dtype = _dtype(msg, names)
    shape = (msg.height, msg.width)
    row = msg.width * msg.point_step
    row_step = msg.row_step if msg.height > 1 else row
    if row_step < row:
        raise CloudError(f"row_step {row_step} is less than {msg.width} points of {msg.point_step} bytes")
    needed = (msg.height - 1) * row_step + row if msg.height else 0
    if len(msg.data) < needed:
        raise CloudError(f"{len(msg.data)} bytes of data; {msg.width} x {msg.height} points need {needed}")
    if needed == 0:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memoryview(msg.data), strides=(row_step, msg.point_step))


def read_cloud_message(msg: Any) -> Cloud:
    """Returns the position and color of every point of a message.

    Positions are float64 where the message's are. Points without a place are NaN: those that are not finite,
    and those at the origin, which is the sensor, as LiDAR drivers have it where nothing came back. Raises
    CloudError for what is no cloud, and for one of float32 that these have rounded, as in UTM coordinates.
    """
    points = read_points(msg, COLOR_FIELDS | set("xyz"))
    missing = [axis for axis in "xyz" if axis not in points.dtype.names]
    if missing:
        names = ", ".join(field.name for field in msg.fields) or "none"
        raise CloudError(f"has no field {', '.join(missing)}; its fields: {names}")
    for axis in "xyz":
        if points.dtype[axis].kind != "f":
            raise CloudError(f"field {axis} is {points.dtype[axis].name}, not float32 or float64 meters")
    xyz, rgb, placed = _in_one_pass(msg, points) if _is_usual(points) else _by_column(points.reshape(-1))
    if not placed:
        raise CloudError(
            f"none of its {points.size} points has a finite position but (0, 0, 0), the sensor's"
        )
    if any(points.dtype[axis].itemsize > NUMBER for axis in "xyz"):
        xyz = _exact(points.reshape(-1), xyz)
    try:
        check_near(xyz)
    except ValueError as error:
        raise CloudError(str(error)) from None
    return Cloud(xyz, rgb, None, (msg.height, msg.width))


def _exact(points: np.ndarray, rounded: np.ndarray) -> np.ndarray:
    """Returns positions (N, 3) float64 of points (N,); NaN where the rounded ones (N, 3) float32 are."""
    xyz = np.empty((len(points), 3))
    for column, axis in zip(xyz.T, "xyz", strict=True):
        column[:] = points[axis]
    xyz[np.isnan(rounded[:, 0])] = np.nan
    return xyz


def _is_usual(points: np.ndarray) -> bool:
    """Returns whether there are points, whose x, y and z are little-endian numbers of one type."""
    types = {points.dtype[axis] for axis in "xyz"}
    return points.size > 0 and types in ({np.dtype("<f4")}, {np.dtype("<f8")})


def _in_one_pass(msg: Any, points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Returns positions (N, 3) float32 and colors of points (height, width), and how many have a place."""
    fields = points.dtype.fields or {}
    packed = next((name for name in PACKED if name in fields), None)
    together = packed is not None and fields[packed][0] in PACKED_TYPES
    xyz = np.empty((points.size, 3), np.float32)
    rgb = np.empty((points.size, 3), np.uint8) if together else _colors(points.reshape(-1))
    offsets = [fields[name][1] for name in (*"xyz", packed if together else "x")]
    placed = native.read_points(
        np.frombuffer(msg.data, np.uint8),
        np.array(offsets, np.int64),
        xyz,
        rgb if together else None,
        int(points.dtype["x"].itemsize == np.float64().itemsize),
        points.shape[1],
        points.strides[0],
        points.strides[1],
    )
    return xyz, rgb, placed


def _by_column(points: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, int]:
    """Returns the same of points (N,) of any numbers, in several passes."""
    xyz = _finite_positions(points)
    return xyz, _colors(points), int(np.count_nonzero(np.isfinite(xyz[:, 0])))


def _finite_positions(points: np.ndarray) -> np.ndarray:
    """Returns (N, 3) float32; a point that is not finite on one axis, or 0 on all, is NaN on all."""
    xyz = np.empty((len(points), 3), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        axes = np.stack([points[axis].astype(np.float32, copy=False) for axis in "xyz"])
        # Adds 0, or NaN where one axis is not finite, in half the time of isfinite.
        axes += (axes - axes).sum(axis=0)
    zeros = np.flatnonzero(axes[0] == 0)  # few, but for points that nothing came back from
    axes[:, zeros[(axes[1:, zeros] == 0).all(axis=0)]] = np.nan
    for column, axis in zip(xyz.T, axes, strict=True):  # numpy is slow along rows of three
        column[:] = axis
    return xyz


def write_points(make: Make, header: Any, points: np.ndarray) -> Any:
    """Returns a message of a structured array (height, width), packed as the array is."""
    height, width = points.shape
    return make(
        "sensor_msgs/PointCloud2",
        header=header,
        height=height,
        width=width,
        fields=_fields(make, points.dtype),
        is_bigendian=False,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * width,
        data=np.ascontiguousarray(points).reshape(-1).view(np.uint8),
        is_dense=all(np.isfinite(points[axis]).all() for axis in "xyz" if axis in points.dtype.names),
    )


def cloud_points(cloud: Cloud) -> np.ndarray:
    """Returns the structured array (height, width): x, y, z as they are, and rgb as PCL and RViz read it,
    where there are colors."""
    columns = _position(cloud) + (LABEL[:1] if cloud.rgb is not None else [])
    points = np.empty(len(cloud.xyz), columns)
    for axis, column in zip("xyz", cloud.xyz.T, strict=True):
        points[axis] = column
    if cloud.rgb is not None:
        points["rgb"] = pack_colors(cloud.rgb)
    return points.reshape(cloud.shape)


def labelled_points(make: Make, header: Any, cloud: Cloud, instances: Instances, tracks: Tracks) -> Any:
    """Returns a cloud whose points have the `label`, `score`, `class_id` and color of their best instance.

    x, y and z are float64 where the cloud's are. `label` is the object's id, 0 for none; class_id is then -1.
    """
    values = np.zeros(len(instances) + 1, LABEL)
    values["rgb"] = pack_colors(np.concatenate([PLAIN, object_colors(tracks.ids)]))
    values["class_id"][0] = -1
    values["label"][1:], values["score"][1:], values["class_id"][1:] = (
        tracks.ids,
        instances.scores,
        instances.class_ids,
    )
    points = np.empty(len(cloud.xyz), [(axis, "<f4") for axis in "xyz"] + LABEL)
    rows, packed = (array.view(("<u4", array.itemsize // NUMBER)) for array in (values, points))
    xyz = cloud.xyz.astype(np.float32, copy=False)
    native.label_points(xyz, instances.labels, rows, packed, cloud.rgb)
    if cloud.xyz.dtype != np.float32:
        points = _with_exact_positions(points, cloud)
    return write_points(make, header, points.reshape(cloud.shape))


def _with_exact_positions(labelled: np.ndarray, cloud: Cloud) -> np.ndarray:
    """Returns labeled points (N,), whose positions are float32, with those of the cloud in their place.

    Each point is copied as two pieces of bytes, in a third of the time that its seven fields take.
    """
    points = np.empty(len(cloud.xyz), _position(cloud) + LABEL)
    wide, narrow = (_pieces(array) for array in (points, labelled))
    wide["position"] = np.ascontiguousarray(cloud.xyz).view(wide.dtype["position"])[:, 0]
    wide["rest"] = narrow["rest"]
    return points


def _pieces(points: np.ndarray) -> np.ndarray:
    """Returns the bytes of labeled points (N,) in two pieces, the position and the rest."""
    rest = NUMBER * len(LABEL)
    return points.view([("position", f"V{points.itemsize - rest}"), ("rest", f"V{rest}")])


def label_image(make: Make, header: Any, labels: np.ndarray) -> Any:
    """Returns object ids (height, width), 0 for none, as a sensor_msgs/Image of 16 bits a pixel.

    An id beyond 65,535 begins again at 1: two objects that are seen together differ by less.
    """
    height, width = labels.shape
    pixels = np.where(labels > 0, (labels - 1) % LARGEST_PIXEL + 1, 0).astype("<u2")
    return make(
        "sensor_msgs/Image",
        header=header,
        height=height,
        width=width,
        encoding="16UC1",
        is_bigendian=0,
        step=2 * width,
        data=pixels.view(np.uint8).reshape(-1),
    )


def labels_only(make: Make, header: Any, labels: np.ndarray) -> Any:
    """Returns object ids (height, width), 0 for none, as a cloud that has the field `label` alone."""
    return write_points(make, header, labels.astype(np.uint32).view([("label", "<u4")]))


def read_labels(msg: Any) -> np.ndarray:
    """Returns (N,) field `label` of labeled points: the object's id, 0 for none."""
    return read_points(msg, {"label"})["label"].reshape(-1)


def pack_colors(rgb: np.ndarray) -> np.ndarray:
    """Returns colors (N, 3) uint8 as (N,) float32 whose bits are 0x00RRGGBB."""
    packed = np.zeros((len(rgb), 4), np.uint8)
    for byte, column in zip((2, 1, 0), rgb.T, strict=True):
        packed[:, byte] = column
    return packed.view("<f4")[:, 0]


def _position(cloud: Cloud) -> list[tuple[str, str]]:
    """Returns the fields x, y and z, of the type that the cloud has them in."""
    return [(axis, f"<f{cloud.xyz.itemsize}") for axis in "xyz"]


def _dtype(msg: Any, wanted: Container[str]) -> np.dtype:
    fields = [field for field in msg.fields if field.name in wanted]
    names, offsets = [field.name for field in fields], [field.offset for field in fields]
    try:
        formats = [_format(field, ">" if msg.is_bigendian else "<", msg.point_step) for field in fields]
        layout: Any = {"names": names, "formats": formats, "offsets": offsets, "itemsize": msg.point_step}
        return np.dtype(layout)
    except CloudError:
        raise
    except ValueError as error:
        raise CloudError(f"its fields make no point: {error}") from None


def _format(field: Any, order: str, point_step: int) -> np.dtype:
    if field.datatype not in DATATYPES:
        raise CloudError(f"field {field.name} has unknown datatype {field.datatype}; known: 1 to 8")
    scalar = np.dtype(order + DATATYPES[field.datatype])
    end = field.offset + scalar.itemsize * max(field.count, 1)
    if end > point_step:
        raise CloudError(f"field {field.name} ends at byte {end}, beyond point_step {point_step}")
    return scalar if field.count <= 1 else np.dtype((scalar, (field.count,)))


def _colors(points: np.ndarray) -> np.ndarray | None:
    columns = {name: points[name] for name in points.dtype.names or () if name in COLOR_FIELDS}
    native = {
        name: column.astype(column.dtype.newbyteorder("="), copy=False) for name, column in columns.items()
    }
    try:
        return column_colors(native)
    except ValueError as error:
        raise CloudError(str(error)) from None


def _fields(make: Make, dtype: np.dtype) -> list[Any]:
    datatypes = {np.dtype(f"<{name}"): datatype for datatype, name in DATATYPES.items()}
    return [
        make(
            "sensor_msgs/PointField",
            name=name,
            offset=offset,
            datatype=datatypes[column.base],
            count=math.prod(column.shape),
        )
        for name, (column, offset, *_) in (dtype.fields or {}).items()
    ]
