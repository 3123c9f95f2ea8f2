# SPDX-License-Identifier: Apache-2.0
"""RGB-D messages of an organized cloud, for any way of making messages."""

import struct
from io import BytesIO

import numpy as np
from PIL import Image

from sphmask_core.clouds.depth import Intrinsics
from sphmask_core.messages.rgbd import RgbdFrame
from sphmask_core.simulation.camera import FOCAL

QUANTIZATION, MAX_DEPTH = 100.0, 10.0
"""Defaults of compressed_depth_image_transport."""


def simulated_lens(width, height):
    """Of the simulator's camera."""
    return Intrinsics(FOCAL * width, FOCAL * width, (width - 1) / 2, (height - 1) / 2)


def depth_of(cloud):
    """(H, W) float32 meters, 0 where there is nothing."""
    return np.nan_to_num(cloud.xyz[:, 2].reshape(cloud.shape)).astype(np.float32)


def info_message(make, header, lens, shape, distortion=()):
    k = [lens.fx, 0, lens.cx, 0, lens.fy, lens.cy, 0, 0, 1]
    p = [lens.fx, 0, lens.cx, 0, 0, lens.fy, lens.cy, 0, 0, 0, 1, 0]
    info = make("sensor_msgs/CameraInfo", header=header, height=shape[0], width=shape[1])
    info.k, info.p = np.array(k, np.float64), np.array(p, np.float64)
    if distortion:
        info.d = np.array(distortion, np.float64)
    return info


def image_message(make, header, pixels, encoding):
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    return make(
        "sensor_msgs/Image",
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=len(data) // max(height, 1),
        data=data,
    )


def compressed_message(make, header, pixels, form):
    """As image_transport's compressed and compressedDepth make it."""
    head = b""
    if form.startswith("32FC1"):
        a = QUANTIZATION * (QUANTIZATION + 1)
        b = 1 - a / MAX_DEPTH
        with np.errstate(divide="ignore"):
            pixels = np.where(pixels > 0, a / pixels + b, 0).round().astype(np.uint16)
        head = struct.pack("<iff", 0, a, b)
    elif "compressedDepth" in form:
        head = struct.pack("<iff", 0, 0, 0)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG" if "jpeg" in form else "PNG")
    data = np.frombuffer(head + file.getvalue(), np.uint8)
    return make("sensor_msgs/CompressedImage", header=header, format=form, data=data)


def rgbd_frame(make, header, cloud, colored=True):
    """Depth in meters, and colors, of what the simulator's camera saw."""
    lens = simulated_lens(cloud.shape[1], cloud.shape[0])
    color = image_message(make, header, cloud.rgb.reshape(*cloud.shape, 3), "rgb8") if colored else None
    return RgbdFrame(
        image_message(make, header, depth_of(cloud), "32FC1"),
        info_message(make, header, lens, cloud.shape),
        color,
    )
