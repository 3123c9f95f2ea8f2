# SPDX-License-Identifier: Apache-2.0
"""A depth image, the color image of its time and their cameras, as messages: one point cloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.clouds.depth import ColorCamera, Intrinsics, back_project
from sphmask_core.messages.images import is_distorted, read_color_image, read_depth_image, read_intrinsics
from sphmask_core.runtime.wording import quoted

FindPose = Callable[[str, str], np.ndarray]
"""Returns for the names of two frames the (4, 4) that takes points of the second to the first. Raises
ValueError where it is not known."""
SAME_LENS = 1e-3
"""Relative difference up to which two cameras in the same place have the same pixels: 0.6 of 640."""


@dataclass(frozen=True)
class RgbdFrame:
    """Holds the messages of one moment."""

    depth: Any
    """sensor_msgs/Image, or CompressedImage of compressedDepth."""
    info: Any
    """sensor_msgs/CameraInfo of the depth image; None: none has come."""
    color: Any = None
    """sensor_msgs/Image or CompressedImage; None: there is none."""
    color_info: Any = None
    """sensor_msgs/CameraInfo of the color image; None: it has the depth image's pixels."""

    @property
    def header(self) -> Any:
        """Returns the header of the depth image."""
        return self.depth.header


def read_rgbd_frame(frame: RgbdFrame, find_pose: FindPose) -> tuple[Cloud, list[str]]:
    """Returns the cloud, organized as the depth image is, and what is to be said of it, each in one line.

    A color image that cannot be used is left out. Raises CloudError where there is no depth.
    """
    if frame.info is None:
        raise CloudError("no camera_info has come for its depth image")
    depth = read_depth_image(frame.depth)
    lens = read_intrinsics(frame.info, _shape(depth))
    remarks = [_distortion(info) for info in (frame.info, frame.color_info) if info and is_distorted(info)]
    color, camera = None, None
    if frame.color is not None:
        try:
            color, camera = _color(frame, _shape(depth), lens, find_pose)
        except ValueError as error:
            remarks.append(f"colors are left out: {error}")
    cloud = back_project(depth, lens, color, camera)
    if np.isnan(cloud.xyz[:, 0]).all():
        raise CloudError(f"none of its {len(cloud.xyz)} pixels has a depth")
    return cloud, remarks


def _color(
    frame: RgbdFrame, shape: tuple[int, int], lens: Intrinsics, find_pose: FindPose
) -> tuple[np.ndarray, ColorCamera | None]:
    """Returns the color image and its camera, None where it has the pixels of the depth image, of `shape` and
    `lens`.

    Raises ValueError where it cannot be said which pixel is of which point.
    """
    color = read_color_image(frame.color)
    own, other = frame.header.frame_id, frame.color.header.frame_id or frame.header.frame_id
    same_place, same_size = own == other, _shape(color) == shape
    if frame.color_info is None:
        if same_place and same_size:
            return color, None
        raise CloudError(_unregistered(own, other, shape, _shape(color)))
    color_lens = read_intrinsics(frame.color_info, _shape(color))
    if same_place and same_size and _alike(lens, color_lens):
        return color, None
    return color, ColorCamera(color_lens, np.eye(4) if same_place else find_pose(other, own))


def _unregistered(own: str, other: str, shape: tuple[int, int], size: tuple[int, int]) -> str:
    """Returns why colors without a camera_info of their own cannot be used."""
    what = f"their image is of {quoted(other)}, the depth image of {quoted(own)}"
    if own == other:
        what = f"their image has {size[1]} x {size[0]} pixels, the depth image {shape[1]} x {shape[0]}"
    return f"{what}, and no camera_info of the color camera has come"


def _alike(first: Intrinsics, second: Intrinsics) -> bool:
    return np.allclose(
        [first.fx, first.fy, first.cx, first.cy], [second.fx, second.fy, second.cx, second.cy], rtol=SAME_LENS
    )


def _distortion(info: Any) -> str:
    return f"the camera_info of {quoted(info.header.frame_id)} has distortion: images are taken as rectified"


def _shape(image: np.ndarray) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
