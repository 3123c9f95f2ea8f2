# SPDX-License-Identifier: Apache-2.0
"""Where frames are to each other, from TF and odometry: the newest seconds of every transform."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from scipy.spatial.transform import Rotation

KEPT = 1000
"""Transforms of a frame that are kept: 10 s at 100 Hz."""
TOLERANCE = 0.5
"""Seconds that the nearest transform may be from the time that is asked for."""


class Poses:
    """Transforms by child frame; added to by one thread, asked by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parents: dict[str, deque[tuple[float, str, np.ndarray]]] = defaultdict(
            lambda: deque(maxlen=KEPT)
        )

    def add(self, parent: str, child: str, seconds: float, pose: np.ndarray) -> None:
        """Where (4, 4) a child frame is in its parent's at a time; infinite: always. Nonsense is left out."""
        if not np.isfinite(pose).all():
            return
        with self._lock:
            if np.isinf(seconds):
                self._parents[child].clear()
            self._parents[child].append((seconds, parent, pose))

    def find(self, target: str, source: str, seconds: float) -> np.ndarray | None:
        """(4, 4) that takes points of the source frame to the target frame; None when it is not known."""
        with self._lock:
            up, down = (self._to_ancestors(frame, seconds) for frame in (source, target))
        common = next((frame for frame in up if frame in down), None)
        return None if common is None else np.linalg.inv(down[common]) @ up[common]

    def _to_ancestors(self, frame: str, seconds: float) -> dict[str, np.ndarray]:
        """Poses (4, 4) of a frame in each of its ancestors, itself first."""
        poses = {frame: np.eye(4)}
        pose = poses[frame]
        while history := self._parents.get(frame):
            time, parent, step = min(history, key=lambda item: abs(item[0] - seconds))
            if (abs(time - seconds) > TOLERANCE and np.isfinite(time)) or parent in poses:
                break
            frame, pose = parent, step @ pose
            poses[frame] = pose
        return poses


def listen(node: Node, poses: Poses) -> None:
    """Keep the poses up to date from `odometry`, /tf and /tf_static."""

    def odometry(msg: Odometry) -> None:
        body = msg.pose.pose
        pose = _matrix(body.position, body.orientation)
        poses.add(msg.header.frame_id, msg.child_frame_id, _seconds(msg), pose)

    node.create_subscription(Odometry, "odometry", odometry, 100)
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        node.get_logger().warning("tf2_msgs is not installed: poses come from the topic odometry alone")
        return

    def transforms(msg: Any, static: bool = False) -> None:
        for item in msg.transforms:
            pose = _matrix(item.transform.translation, item.transform.rotation)
            seconds = np.inf if static else _seconds(item)
            poses.add(item.header.frame_id, item.child_frame_id, seconds, pose)

    latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_subscription(TFMessage, "/tf", transforms, 100)
    node.create_subscription(TFMessage, "/tf_static", lambda msg: transforms(msg, static=True), latched)


def _seconds(msg: Any) -> float:
    return Time.from_msg(msg.header.stamp).nanoseconds / 1e9


def _matrix(place: Any, turn: Quaternion) -> np.ndarray:
    """(4, 4); NaN where the quaternion is none."""
    pose = np.eye(4)
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    pose[:3, :3] = Rotation.from_quat(quaternion).as_matrix() if quaternion.any() else np.nan
    pose[:3, 3] = place.x, place.y, place.z
    return pose
