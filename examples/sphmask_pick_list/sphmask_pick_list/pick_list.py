# SPDX-License-Identifier: Apache-2.0
"""Prints the nearest object with its pose, and the order in which a gripper could take all of them.

ros2 run sphmask_pick_list pick_list --ros-args -p gripper:=0.08
"""

from __future__ import annotations

import math
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sphmask_ros.msg import Instance, InstanceArray


class PickList(Node):
    """Hears the node `segment`."""

    def __init__(self) -> None:
        super().__init__("pick_list")
        self._gripper = float(self.declare_parameter("gripper", 0.08).value)
        self.create_subscription(InstanceArray, "segment/instances", self._tell, 1)

    def _tell(self, msg: InstanceArray) -> None:
        if not msg.instances:
            return
        nearest = min(msg.instances, key=_distance)
        place, turn, size = nearest.box.position, nearest.box.orientation, nearest.size
        self.get_logger().info(
            f"nearest in {msg.header.frame_id}: {nearest.class_name} {nearest.id} at "
            f"({place.x:.3f}, {place.y:.3f}, {place.z:.3f}), turned by "
            f"({turn.x:.3f}, {turn.y:.3f}, {turn.z:.3f}, {turn.w:.3f}), {size.x:.3f} x {size.y:.3f} m, "
            f"{nearest.height:.3f} m high"
        )
        picks = pick_list(msg.instances, self._gripper)
        self.get_logger().info(
            f"to pick: {', '.join(f'{instance.class_name} {instance.id}' for instance in picks) or 'none'}"
        )


def pick_list(instances: list[Instance], gripper: float) -> list[Instance]:
    """Returns the objects that fit between the fingers, what lies on others before these, high ones first."""
    under = {instance.support for instance in instances}
    fitting = [instance for instance in instances if instance.size.y <= gripper]
    return sorted(fitting, key=lambda instance: (instance.id in under, -instance.height))


def _distance(instance: Instance) -> float:
    place = instance.box.position
    return math.hypot(place.x, place.y, place.z)


def main() -> None:
    """Run until Ctrl-C."""
    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(PickList())


if __name__ == "__main__":
    main()
