# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/Image, CompressedImage and CameraInfo as numpy arrays; image_transport's formats."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.depth import Intrinsics
from sphmask_core.clouds.limits import check_image
from sphmask_core.runtime.wording import one_line, quoted

DEPTHS = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}
"""numpy's type of each encoding of depth: millimeters, and meters (REP 118)."""
COLORS = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0))}
COLORS |= {"mono8": (1, (0, 0, 0)), "8UC1": (1, (0, 0, 0)), "8UC3": (3, (2, 1, 0))}
"""Bytes a pixel, and the places of red, green and blue, of each encoding of color."""
SAME_VIEW = 0.02
"""How far the sides' ratio of an image may be from its camera_info's: sizes are rounded."""
QUANTIZED = struct.Struct("<iff")
"""What compressed_depth_image_transport puts before its PNG: format and two numbers of the quantization."""


def read_depth_image(msg: Any) -> np.ndarray:
    """Returns (H, W) uint16 millimeters or float32 meters, of an Image or a CompressedImage of
    compressedDepth."""
    if not hasattr(msg, "encoding"):
        return _compressed_depth(msg)
    if msg.encoding not in DEPTHS:
        raise CloudError(f"a depth image of encoding {msg.encoding[:20]!r}; known: {', '.join(DEPTHS)}")
    dtype = np.dtype((">" if msg.is_bigendian else "<") + DEPTHS[msg.encoding])
    return np.ascontiguousarray(_rows(msg, msg.width * dtype.itemsize)).view(dtype)


def read_color_image(msg: Any) -> np.ndarray:
    """Returns (H, W, 3) uint8 of an Image, or of a CompressedImage (JPEG or PNG)."""
    if not hasattr(msg, "encoding"):
        return _decoded(bytes(msg.data), "RGB")
    if msg.encoding not in COLORS:
        raise CloudError(f"a color image of encoding {msg.encoding[:20]!r}; known: {', '.join(COLORS)}")
    channels, places = COLORS[msg.encoding]
    rows = np.ascontiguousarray(_rows(msg, msg.width * channels))
    pixels = rows.reshape(msg.height, msg.width, channels)
    return pixels if channels == 3 and places == (0, 1, 2) else pixels[..., places]


def read_intrinsics(msg: Any, shape: tuple[int, int] | None = None) -> Intrinsics:
    """Returns the intrinsics of a CameraInfo: P, of the rectified image, or where that is not set K, of the
    raw one.

    shape (height, width): of the image, which may have the camera's region of interest, or the same view in
    fewer or more pixels; None: all pixels of the camera. Raises CloudError where it has another view.
    """
    p, k = np.asarray(msg.p, np.float64), np.asarray(msg.k, np.float64)
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if p[0] else (k[0], k[4], k[2], k[5])
    try:
        lens = Intrinsics(float(fx), float(fy), float(cx), float(cy))
    except ValueError as error:
        raise CloudError(f"the camera_info of {quoted(msg.header.frame_id)} has {error}") from None
    return lens if shape is None else _fitted(lens, msg, shape)


def info_beside(topic: str) -> str:
    """Returns the topic of the camera_info of a topic of images, by the convention of image_transport."""
    for transport in ("/compressedDepth", "/compressed"):
        topic = topic.removesuffix(transport)
    return f"{topic.rpartition('/')[0]}/camera_info"


def is_distorted(msg: Any) -> bool:
    """Returns whether a CameraInfo is of a lens with distortion."""
    return bool(np.any(np.asarray(msg.d, np.float64)))


def _fitted(lens: Intrinsics, msg: Any, shape: tuple[int, int]) -> Intrinsics:
    """Returns the intrinsics of an image (height, width) of the camera's region of interest, binned or
    resized."""
    roi = msg.roi
    whole = not (roi.width and roi.height)
    x, y = (0, 0) if whole else (roi.x_offset, roi.y_offset)
    width, height = (msg.width, msg.height) if whole else (roi.width, roi.height)
    if not (width and height and all(shape)):
        return lens
    across, down = shape[1] / width, shape[0] / height
    if abs(across / down - 1) > SAME_VIEW:
        raise CloudError(
            f"an image of {shape[1]} x {shape[0]} pixels is not the view of {width} x {height} that the "
            f"camera_info of {quoted(msg.header.frame_id)} is of"
        )
    # The middle of the first pixel is at (0, 0), its corner, which stays in place, half a pixel before.
    cx, cy = (lens.cx - x + 0.5) * across - 0.5, (lens.cy - y + 0.5) * down - 0.5
    return Intrinsics(lens.fx * across, lens.fy * down, cx, cy)


def _rows(msg: Any, row: int) -> np.ndarray:
    """Returns (height, row) uint8: the bytes of each row without padding, in the message's own memory."""
    if msg.step < row or len(msg.data) < msg.step * (msg.height - 1) + row * bool(msg.height):
        size = f"{msg.width} x {msg.height} pixels of {msg.encoding} in rows of {msg.step} bytes"
        raise CloudError(f"{len(msg.data)} bytes of image; {size} need more")
    if not msg.height or not row:
        return np.empty((msg.height, row), np.uint8)
    return np.ndarray((msg.height, row), np.uint8, memoryview(msg.data), strides=(msg.step, 1))


def _compressed_depth(msg: Any) -> np.ndarray:
    """Returns the depth of a PNG of millimeters, or of 16-bit steps of inverse depth for 32FC1."""
    data = bytes(msg.data)
    if "compressedDepth" not in msg.format or len(data) < QUANTIZED.size:
        raise CloudError(f"a compressed depth image of format {quoted(msg.format)}; known: compressedDepth")
    if "rvl" in msg.format:
        raise CloudError("a compressed depth image in RVL; set the publisher's compressedDepth format to png")
    _, a, b = QUANTIZED.unpack_from(data)
    steps = _decoded(data[QUANTIZED.size :], None)
    if steps.ndim != 2 or steps.dtype == np.uint8:
        raise CloudError("a compressed depth image that is not 16-bit gray")
    if not msg.format.startswith("32FC1"):
        return steps.astype(np.uint16)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(steps > 0, a / (steps.astype(np.float32) - np.float32(b)), 0).astype(np.float32)


def _decoded(data: bytes, mode: str | None) -> np.ndarray:
    try:
        from PIL import Image
    except ImportError:
        raise CloudError("compressed images need pillow: pip install 'sphmask[view]'") from None
    try:
        with Image.open(BytesIO(data)) as image:
            check_image(image.size, image.mode, len(data))
            return np.array(image if mode is None else image.convert(mode))
    except Exception as error:  # a parser of untrusted bytes
        raise CloudError(f"a compressed image that is none: {one_line(error)}") from None
