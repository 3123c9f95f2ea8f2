# SPDX-License-Identifier: Apache-2.0
"""Messages made without ROS are those of ROS: the same types, the same bytes."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra `bags`")
pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from ament_index_python.packages import get_package_share_directory
from rclpy.serialization import deserialize_message
from sphmask_ros.msg import InstanceArray
from visualization_msgs.msg import Marker

from sphmask_core.messages.definitions import OURS, Definitions


@pytest.mark.parametrize("name", OURS)
def test_types_are_those_that_ros_built(name):
    share = Path(get_package_share_directory("sphmask_ros"))
    hashes = json.loads((share / "msg" / f"{name}.json").read_text())["type_hashes"]
    assert Definitions().describe(f"sphmask_ros/{name}")[1] == hashes[0]["hash_string"]


def test_ros_reads_what_is_written():
    definitions = Definitions()
    make = definitions.make
    instance = make("sphmask_ros/Instance", id=7, class_name="cup", rays=np.array([1.5, 2.5], np.float32))
    header = make("std_msgs/Header", frame_id="camera")
    points = np.array([3, 1, 4], np.uint32)
    sent = make("sphmask_ros/InstanceArray", header=header, instances=[instance], point_indices=points)
    read = deserialize_message(definitions.write("sphmask_ros/InstanceArray", sent), InstanceArray)
    assert read.header.frame_id == "camera" and list(read.point_indices) == [3, 1, 4]
    assert (read.instances[0].id, read.instances[0].class_name) == (7, "cup")
    assert list(read.instances[0].rays) == [1.5, 2.5] and read.instances[0].box_min.x == 0.0
    marker = make("visualization_msgs/Marker", ns="box", points=[make("geometry_msgs/Point", x=1.0)])
    read = deserialize_message(definitions.write("visualization_msgs/Marker", marker), Marker)
    assert (read.ns, read.points[0].x, read.text) == ("box", 1.0, "")
