# SPDX-License-Identifier: Apache-2.0
"""The launch file, by the real launch system; a bad one would only be found on a robot."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("launch_ros", reason="needs launch and launch_ros, which are not on PyPI")
import rclpy

from sphmask_ros.player import Player
from test.helpers.ros import TIMEOUT, ask_patiently, header, scene_message

LAUNCH = Path(__file__).parents[2] / "launch" / "segment.launch.py"
ARGUMENTS = {
    "input",
    "points",
    "depth",
    "color",
    "camera_info",
    "color_info",
    "model",
    "device",
    "cameras",
    "autostart",
    "params_file",
    "bag",
    "use_sim_time",
    "fastdds_profile",
}
ARGUMENTS |= {"input", "depth", "color", "camera_info", "color_info"}
ARGUMENTS |= {"rviz", "frame", "namespace", "log_level", "respawn"}


def launch(*arguments, **options):
    """`ros2 launch FILE ARGUMENTS`, by launch itself: ros2cli need not be there."""
    run = (
        "import sys; from ros2launch.api import launch_a_launch_file as go; "
        "sys.exit(go(launch_file_path=sys.argv[1], launch_file_arguments=sys.argv[2:]))"
    )
    command = [sys.executable, "-c", run, LAUNCH, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def test_show_args_lists_every_argument():
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(LAUNCH))
    descriptions = {argument.name: argument.description for argument in description.get_launch_arguments()}
    assert set(descriptions) == ARGUMENTS
    assert all(descriptions.values())


def test_a_killed_node_is_respawned(ros, weights, domain):
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    process = launch(f"model:={weights}", "namespace:=immortal", "respawn:=true", env=environment)
    player = Player(namespace="immortal")
    player.wait_until_heard(TIMEOUT, lambda: process.poll() is None)
    assert ask_patiently(player, scene_message(1)).points.header == header(1)
    children = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/children")]
    os.kill(int("".join(children)), signal.SIGKILL)
    assert ask_patiently(player, scene_message(2)).points.header == header(2)
    player.destroy_node()
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=20)
    assert text.count("process has died") == 1, text


def test_launches_the_node_as_asked(ros, weights, domain):
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    process = launch(
        f"model:={weights}", "points:=clouds", "namespace:=launched", "device:=cpu", env=environment
    )
    player = Player(namespace="launched", topic="clouds")
    player.wait_until_heard(TIMEOUT, lambda: process.poll() is None)
    assert ask_patiently(player, scene_message(3)).points.header == header(3)
    player.destroy_node()
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 0, text
    assert "process has finished cleanly" in text


def test_the_camera_info_of_images_is_looked_for_beside_them(ros, weights, domain):
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    arguments = [f"model:={weights}", "namespace:=eyes", "input:=rgbd"]
    images = ["depth:=cam/depth/image/compressedDepth", "color:=/cam/color/image"]
    process = launch(*arguments, *images, env=environment)
    node = rclpy.create_node("looking")
    topics = ["/eyes/cam/depth/image/compressedDepth", "/eyes/cam/depth/camera_info"]
    topics += ["/cam/color/image", "/cam/color/camera_info"]
    limit = time.monotonic() + 2 * TIMEOUT
    try:
        while not all(node.count_subscribers(topic) for topic in topics):
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.2)
        assert node.count_subscribers("/eyes/points") == 0
    finally:
        node.destroy_node()
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=20)
    assert process.returncode == 0, text


@pytest.mark.parametrize("name", ["params_file", "fastdds_profile"])
def test_a_file_that_is_not_there_is_one_clear_line(name):
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    process = launch(f"{name}:=/no/such.file")
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert f"{name} /no/such.file: no such file" in text
    assert "deprecated" not in text.lower()


def test_an_argument_that_there_is_not_is_told():
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    process = launch("poitns:=/camera/points", "zzz:=1", "autostart:=false")
    text = ""
    while "process started" not in text and process.poll() is None:
        text += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    text += process.communicate(timeout=TIMEOUT)[0]
    assert "segment.launch.py has no argument poitns; did you mean points?" in text
    assert "segment.launch.py has no argument zzz; -s lists those that there are" in text
    assert "deprecat" not in text.lower()


@pytest.mark.parametrize(
    ("points", "words"),
    [("[/a,/b,/c]", "points has 3 topics for 2 cameras"), ("/a", "points /a is one topic for all cameras")],
)
def test_cameras_want_a_topic_each(points, words):
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    process = launch("cameras:=[front,rear]", f"points:={points}")
    text, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert words in text


@pytest.mark.parametrize(
    ("points", "topics"),
    [("[/a/points,/b/points]", ("/a/points", "/b/points")), ("cloud", ("front/cloud", "rear/cloud"))],
)
def test_cameras_are_launched_in_one_node(ros, weights, domain, points, topics):
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    environment = os.environ | {"ROS_DOMAIN_ID": str(domain)}
    arguments = (f"model:={weights}", "cameras:=[front,rear]", f"points:={points}", "namespace:=rigs")
    process = launch(*arguments, env=environment)
    for name, topic in zip(("front", "rear"), topics, strict=True):
        player = Player(namespace="rigs", camera=name, topic=topic)
        player.wait_until_heard(TIMEOUT, lambda: process.poll() is None)
        assert ask_patiently(player, scene_message(1)).points.header == header(1)
        player.destroy_node()
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 0, text
