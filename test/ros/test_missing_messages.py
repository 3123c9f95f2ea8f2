# SPDX-License-Identifier: Apache-2.0
"""An output whose messages are not installed: said once, to those who selected it."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy

from sphmask_ros.conversions import CLASSES
from sphmask_ros.outputs import warn_of_missing
from sphmask_ros.player import HEARD


def test_only_what_is_selected_is_missed_and_once(ros, monkeypatch, capfd):
    monkeypatch.delitem(CLASSES, "vision_msgs/Detection3DArray", raising=False)
    node = rclpy.create_node("without_vision")
    warn_of_missing(node, HEARD)
    assert "not installed" not in capfd.readouterr().err
    for _ in range(2):
        warn_of_missing(node, [*HEARD, "detections"])
    node.destroy_node()
    assert capfd.readouterr().err.count("no detections: vision_msgs is not installed") == 1
