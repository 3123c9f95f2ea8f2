# SPDX-License-Identifier: Apache-2.0
"""What colcon has built is whole: messages, node, launch file, parameters. Needs neither model nor DDS."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

packages = pytest.importorskip("ament_index_python.packages", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")


@pytest.fixture(scope="module")
def prefix():
    return Path(packages.get_package_prefix("sphmask_ros"))


@pytest.mark.parametrize(
    ("kind", "name", "fields"),
    [
        ("msg", "Instance", {"id", "state", "score", "center", "box_min", "box_max", "rays", "point_count"}),
        ("msg", "InstanceArray", {"header", "instances", "lost", "point_indices"}),
        ("msg", "Timings", {"header", "stages", "milliseconds", "latency"}),
    ],
)
def test_messages_have_their_fields(kind, name, fields):
    message = getattr(importlib.import_module(f"sphmask_ros.{kind}"), name)
    assert fields <= set(message.get_fields_and_field_types())


def test_services_have_theirs():
    service = importlib.import_module("sphmask_ros.srv").LoadModel
    assert set(service.Request.get_fields_and_field_types()) == {"model"}
    assert {"success", "message"} <= set(service.Response.get_fields_and_field_types())


def test_what_users_start_is_installed(prefix):
    share = prefix / "share" / "sphmask_ros"
    for file in ("config/segment_node.yaml", "launch/segment.launch.py", "rviz/segment.rviz", "package.xml"):
        assert (share / file).is_file(), file
    compile((share / "launch" / "segment.launch.py").read_text(), "segment.launch.py", "exec")
    assert os.access(prefix / "lib" / "sphmask_ros" / "segment_node", os.X_OK)


def test_the_node_starts_as_far_as_its_parameters(prefix):
    pytest.importorskip("sphmask_core", reason="needs the Python package: pip install .")
    command = [sys.executable, prefix / "lib" / "sphmask_ros" / "segment_node"]
    command += ["--ros-args", "-p", "min_score:=2.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "min_score" in done.stderr
