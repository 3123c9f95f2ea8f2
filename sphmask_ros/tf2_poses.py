# SPDX-License-Identifier: Apache-2.0
"""The same poses, kept by tf2 itself where tf2_ros is installed."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from scipy.spatial.transform import Rotation

from sphmask_core.runtime.wording import one_line
from sphmask_ros.guard import Refuse
from sphmask_ros.poses import FOREVER, PoseError, Poses, pose_matrix, stamp_of, unjoined

try:
    import tf2_ros
except ImportError:
    tf2_ros = None

AUTHORITY = "sphmask_ros"
"""Who told tf2 of what comes by odometry."""


class Tf2Poses(Poses):
    """Keeps transforms in a buffer of tf2."""

    keeper = "tf2_ros"

    def __init__(self) -> None:
        super().__init__()
        self._buffer = tf2_ros.Buffer()

    def hear_tf(self, node: Node, refuse: Refuse) -> None:
        """Keep the poses up to date from /tf and /tf_static; tf2 logs what it refuses."""
        self._listener = tf2_ros.TransformListener(self._buffer, node)
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jumps = node.get_clock().create_jump_callback(
            back, post_callback=lambda _: self._buffer.clear()
        )

    def _keep(self, parent: str, child: str, stamp: int, pose: np.ndarray) -> None:
        msg = TransformStamped(child_frame_id=child)
        msg.header.frame_id, body = parent, msg.transform
        body.translation.x, body.translation.y, body.translation.z = pose[:3, 3].tolist()
        x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
        body.rotation = Quaternion(x=x, y=y, z=z, w=w)
        if stamp == FOREVER:
            self._buffer.set_transform_static(msg, AUTHORITY)
        else:
            msg.header.stamp = stamp_of(stamp)
            self._buffer.set_transform(msg, AUTHORITY)

    def _look_up(self, target: str, source: str, stamp: int) -> np.ndarray:
        try:
            found = self._buffer.lookup_transform_core(target, source, stamp_of(stamp)).transform
        except tf2_ros.ExtrapolationException as error:
            raise PoseError(one_line(error)) from None
        except tf2_ros.TransformException:
            raise unjoined(target, source) from None
        return pose_matrix(found.translation, found.rotation)


def best_poses() -> Poses:
    """Returns poses that tf2 keeps, where it is installed, else our own."""
    return Poses() if tf2_ros is None else Tf2Poses()
