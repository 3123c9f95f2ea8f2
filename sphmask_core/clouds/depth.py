# SPDX-License-Identifier: Apache-2.0
"""Depth images as point clouds: the pinhole model, colors of the same or of another camera, files of both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from sphmask_core import native
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.clouds.limits import MAX_POINTS, check_image, check_points, check_regular
from sphmask_core.palette import MID_GRAY
from sphmask_core.runtime.wording import one_line

MILLIMETER = 0.001
"""Meters of the 1 of a 16-bit depth image, as ROS (REP 118), RealSense and Azure Kinect have it."""
TUM_UNIT = 1 / 5000
"""The same of the TUM RGB-D benchmark."""
TUM_LIST = "depth.txt"
"""The file that lists the depth images of a folder of that benchmark."""
SIMULTANEOUS = 0.02
"""Seconds that a color image may be from its depth image."""
NO_COLOR = np.empty((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Intrinsics:
    """Describes a pinhole camera without distortion, in pixels. The middle of the first pixel is at
    (0, 0)."""

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        values = np.array([self.fx, self.fy, self.cx, self.cy], np.float64)
        if not (np.isfinite(values).all() and self.fx > 0 and self.fy > 0):
            raise ValueError(
                f"intrinsics {self.fx} {self.fy} {self.cx} {self.cy}: fx and fy must be positive"
            )


@dataclass(frozen=True)
class ColorCamera:
    """Describes a color camera that is not pixel for pixel the depth camera."""

    intrinsics: Intrinsics
    pose: np.ndarray
    """(4, 4): takes points of the depth camera's frame to the color camera's."""


def back_project(
    depth: np.ndarray,
    intrinsics: Intrinsics,
    color: np.ndarray | None = None,
    camera: ColorCamera | None = None,
    unit: float | None = None,
) -> Cloud:
    """Returns the cloud of a depth image, organized as it is, in the camera's optical frame (z forward, y
    down).

    depth (H, W): uint16, or float32; 0 and what is not finite are NaN points. color (h, w, 3) uint8: of the
    same pixels where `camera` is None, else of that camera; a point that it does not see is mid-gray. unit:
    meters of a depth of 1, None: millimeters for uint16, meters for float32. Raises ValueError on other
    shapes and types.
    """
    depth = _checked_depth(depth)
    if color is not None:
        color = _checked_color(color, None if camera else depth.shape)
    if unit is None:
        unit = MILLIMETER if depth.dtype == np.uint16 else 1.0
    height, width = depth.shape
    xyz, rgb = np.empty((height, width, 3), np.float32), np.empty((height, width, 3), np.uint8)
    eyes = (intrinsics, camera.intrinsics if camera else intrinsics)
    native.back_project(
        depth[..., None].view(np.uint8),
        np.array([value for eye in eyes for value in (eye.fx, eye.fy, eye.cx, eye.cy)], np.float64),
        NO_COLOR if color is None else color,
        np.ascontiguousarray((camera.pose if camera else np.eye(4))[:3], np.float64),
        xyz,
        rgb,
        unit,
        int(camera is not None and color is not None),
        MID_GRAY,
    )
    points, colors = xyz.reshape(-1, 3), rgb.reshape(-1, 3)
    return Cloud(points, None if color is None else colors, None, (height, width))


def _checked_depth(depth: np.ndarray) -> np.ndarray:
    """Returns the image in the machine's byte order, contiguous."""
    depth = np.asarray(depth)
    if depth.ndim != 2 or depth.dtype.newbyteorder("=") not in (np.uint16, np.float32):
        raise ValueError(f"depth is {depth.dtype} {depth.shape}; expected (height, width) uint16 or float32")
    return np.ascontiguousarray(depth, depth.dtype.newbyteorder("="))


def _checked_color(color: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """Returns the image as contiguous uint8; of `shape` (H, W) where that is given."""
    color = np.asarray(color)
    if color.ndim != 3 or color.shape[2] != 3 or color.dtype != np.uint8:
        raise ValueError(f"color is {color.dtype} {color.shape}; expected (height, width, 3) uint8")
    if shape is not None and color.shape[:2] != shape:
        raise ValueError(
            f"color has {color.shape[1]} x {color.shape[0]} pixels, depth {shape[1]} x {shape[0]}; give a "
            "color image registered to the depth image, or the color camera's own intrinsics and pose"
        )
    return np.ascontiguousarray(color)


def read_rgbd(
    depth: Path,
    color: Path | None,
    intrinsics: Intrinsics,
    unit: float | None = None,
    max_points: int = MAX_POINTS,
) -> Cloud:
    """Returns the cloud of a depth image and, if given, the color image of its pixels; CloudError names the
    file."""
    pixels = None if color is None else read_color(color)
    try:
        image = read_depth(depth, max_points)
        check_points(image.size, max_points)
        return back_project(image, intrinsics, pixels, unit=unit)
    except CloudError:
        raise
    except ValueError as error:
        raise CloudError(f"{depth}: {error}") from None


def read_depth(path: Path, most: int = MAX_POINTS) -> np.ndarray:
    """Returns (H, W) uint16 of a 16-bit PNG or TIFF of at most `most` pixels, or what an .npy file holds."""
    if path.suffix == ".npy":
        return _array(path)
    pixels = _pixels(path, most=most)
    if pixels.ndim != 2 or pixels.dtype == np.uint8:
        raise CloudError(f"{path}: {pixels.dtype} {pixels.shape} is no depth image; expected 16-bit gray")
    if pixels.dtype.kind == "i" and pixels.size and (pixels.min() < 0 or pixels.max() > 2**16 - 1):
        raise CloudError(f"{path}: its depths are from {pixels.min()} to {pixels.max()}; expected 16 bits")
    return pixels if pixels.dtype == np.float32 else pixels.astype(np.uint16)


def read_color(path: Path) -> np.ndarray:
    """Returns (H, W, 3) uint8 of an image file; gray is three times itself."""
    return _pixels(path, "RGB")


def read_gray(path: Path) -> np.ndarray:
    """Returns (H, W) uint8 or uint16 numbers of an image with one channel or a palette."""
    pixels = _pixels(path)
    if pixels.ndim != 2 or pixels.dtype.kind == "f":
        raise CloudError(f"{path}: {pixels.dtype} {pixels.shape} is no mask; expected 8- or 16-bit gray")
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16)


def _array(path: Path) -> np.ndarray:
    try:
        check_regular(path)
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise CloudError(f"{path}: no such file") from None
    except Exception as error:  # a parser of untrusted bytes
        raise CloudError(f"{path}: not an array ({one_line(error)})") from None


def _pixels(path: Path, mode: str | None = None, most: int = MAX_POINTS) -> np.ndarray:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise ModuleNotFoundError("depth and color images need pillow: pip install 'sphmask[view]'") from None
    try:
        check_regular(path)
        content = path.read_bytes()  # from a file, memory would be taken for the length that a chunk claims
        with Image.open(BytesIO(content)) as image:
            check_image(image.size, image.mode, len(content), most)
            return np.array(image if mode is None else image.convert(mode))
    except UnidentifiedImageError:
        raise CloudError(f"{path}: not an image") from None
    except FileNotFoundError:
        raise CloudError(f"{path}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CloudError(f"{path}: {' '.join(str(error).split()) or 'not an image'}") from None


def tum_frames(folder: Path) -> Iterator[tuple[float, Path, Path | None]]:
    """Yields time (seconds), depth and color file of each frame of a folder of the TUM RGB-D benchmark.

    depth.txt and rgb.txt list times and files; the color of a depth image is the nearest within 20 ms.
    """
    depths, colors = _listed(folder / TUM_LIST), _listed(folder / "rgb.txt")
    times = np.array([time for time, _ in colors])
    for time, depth in depths:
        nearest = int(np.abs(times - time).argmin()) if len(times) else -1
        near = nearest >= 0 and abs(times[nearest] - time) <= SIMULTANEOUS
        yield time, folder / depth, folder / colors[nearest][1] if near else None


def _listed(path: Path) -> list[tuple[float, str]]:
    """Returns times and file names of a list of the TUM RGB-D benchmark, by time; none where there is no
    list."""
    if not path.is_file():
        return []
    rows = [line.split() for line in path.read_text().splitlines() if line.strip() and line[0] != "#"]
    try:
        return sorted((float(time), name) for time, name in rows)
    except ValueError:
        raise CloudError(f"{path}: is not lines of a time and a file name") from None
