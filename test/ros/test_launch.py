# SPDX-License-Identifier: Apache-2.0
"""The launch file, by the real launch system; a bad one would only be found on a robot."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("launch_ros", reason="needs launch and launch_ros, which are not on PyPI")
import rclpy

from benchmarks.transport import PROFILE, VARIABLE
from sphmask_ros.player import Player
from test.helpers.ros import TIMEOUT, ask_patiently, header, scene_message

LAUNCH = Path(__file__).parents[2] / "launch" / "segment.launch.py"
ARGUMENTS = {"model", "device", "autostart", "params_file", "bag", "use_sim_time", "fastdds_profile"}
ARGUMENTS |= {"input", "points", "depth", "color", "camera_info", "color_info", "cameras"}
ARGUMENTS |= {"rviz", "frame", "namespace", "log_level", "respawn"}
START = 2 * TIMEOUT
"""Seconds for ros2 launch, and then the node, to start on a busy machine."""


class Launched:
    """`ros2 launch segment.launch.py`, by launch itself: ros2cli need not be there."""

    def __init__(self, *arguments, domain=1):
        run = (
            "import sys; from ros2launch.api import launch_a_launch_file as go; "
            "sys.exit(go(launch_file_path=sys.argv[1], launch_file_arguments=sys.argv[2:]))"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", run, LAUNCH, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        )

    def running(self):
        return self.process.poll() is None

    def children(self):
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(number) for path in tasks for number in path.read_text().split()]

    def node(self):
        """The process of the node, which is the only child."""
        (number,) = self.children()
        return number

    def interrupt(self):
        """All that it said, after Ctrl-C, on which it and the node have to end as they should."""
        self.process.send_signal(signal.SIGINT)
        text = self.wait()
        assert self.process.returncode == 0, text
        assert "process has finished cleanly" in text
        return text

    def wait(self):
        """All that it said until it ended by itself."""
        return self.process.communicate(timeout=START)[0]


@pytest.fixture
def launch(domain):
    """Start `ros2 launch` with arguments; it has ended when the test has, however that went."""
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    started = []

    def start(*arguments):
        started.append(Launched(*arguments, domain=domain))
        return started[-1]

    yield start
    for launched in started:
        if launched.running():  # the test failed
            for number in (*launched.children(), launched.process.pid):
                os.kill(number, signal.SIGKILL)
            launched.wait()


@pytest.fixture
def await_node(ros):
    """Wait until a launched node is there, in a namespace of its own: nodes of other tests are there, too.

    What is interrupted before cannot end as it should.
    """

    def wait(launched, namespace):
        looking, limit = rclpy.create_node("looking"), time.monotonic() + START
        while ("segment", namespace) not in looking.get_node_names_and_namespaces():
            assert launched.running() and time.monotonic() < limit
            time.sleep(0.2)
        looking.destroy_node()

    return wait


@pytest.fixture
def await_subscribers(ros):
    """Wait until all of some topics are subscribed to; none of some others may be then."""

    def wait(launched, topics, none):
        looking, limit = rclpy.create_node("looking"), time.monotonic() + START
        try:
            while not all(looking.count_subscribers(topic) for topic in topics):
                assert launched.running() and time.monotonic() < limit
                time.sleep(0.2)
            assert [topic for topic in none if looking.count_subscribers(topic)] == []
        finally:
            looking.destroy_node()

    return wait


@pytest.fixture
def heard(ros):
    """Make a player that a launched node hears."""
    players = []

    def make(launched, **arguments):
        players.append(Player(**arguments))
        players[-1].wait_until_heard(START, launched.running)
        return players[-1]

    yield make
    for player in players:
        player.destroy_node()


def test_show_args_lists_every_argument():
    pytest.importorskip("ros2launch", reason="needs ros2launch, which is not on PyPI")
    from launch.launch_description_sources import get_launch_description_from_python_launch_file

    description = get_launch_description_from_python_launch_file(str(LAUNCH))
    descriptions = {argument.name: argument.description for argument in description.get_launch_arguments()}
    assert set(descriptions) == ARGUMENTS
    assert all(descriptions.values())


def test_a_killed_node_is_respawned(launch, heard, weights):
    launched = launch(f"model:={weights}", "namespace:=immortal", "respawn:=true")
    player = heard(launched, namespace="immortal")
    assert ask_patiently(player, scene_message(1)).points.header == header(1)
    os.kill(launched.node(), signal.SIGKILL)
    player.wait_until_heard(START, launched.running)
    assert ask_patiently(player, scene_message(2)).points.header == header(2)
    assert launched.interrupt().count("process has died") == 1


def test_launches_the_node_as_asked(launch, heard, weights):
    launched = launch(f"model:={weights}", "points:=clouds", "namespace:=launched", "device:=cpu")
    player = heard(launched, namespace="launched", topic="clouds")
    assert ask_patiently(player, scene_message(3)).points.header == header(3)
    launched.interrupt()


def test_the_camera_info_of_images_is_looked_for_beside_them(launch, await_subscribers, weights):
    arguments = [f"model:={weights}", "namespace:=eyes", "input:=rgbd"]
    images = ["depth:=cam/depth/image/compressedDepth", "color:=/cam/color/image"]
    launched = launch(*arguments, *images)
    topics = ["/eyes/cam/depth/image/compressedDepth", "/eyes/cam/depth/camera_info"]
    topics += ["/cam/color/image", "/cam/color/camera_info"]
    await_subscribers(launched, topics, none=["/eyes/points"])
    launched.interrupt()


IMAGES = {"depth": "depth/image", "color": "color/image"}
IMAGES |= {"camera_info": "info/depth", "color_info": "info/color"}


def test_the_camera_info_is_where_it_is_said_to_be(launch, await_subscribers, weights):
    topics = {name: f"/eye/{topic}" for name, topic in IMAGES.items()}
    given = [f"{name}:={topic}" for name, topic in topics.items()]
    launched = launch(f"model:={weights}", "input:=rgbd", *given)
    beside = ["/eye/depth/camera_info", "/eye/color/camera_info"]
    await_subscribers(launched, topics.values(), none=beside)
    launched.interrupt()


def test_each_of_several_cameras_has_its_camera_info(launch, await_subscribers, weights):
    topics = {name: [f"/left/{topic}", f"/right/{topic}"] for name, topic in IMAGES.items()}
    given = [f"{name}:=[{','.join(both)}]" for name, both in topics.items()]
    launched = launch(f"model:={weights}", "input:=rgbd", "cameras:=[front,rear]", *given)
    asked = [topic for both in topics.values() for topic in both]
    await_subscribers(launched, asked, none=["/left/depth/camera_info"])
    launched.interrupt()


@pytest.mark.parametrize("name", ["params_file", "fastdds_profile"])
def test_a_file_that_is_not_there_is_one_clear_line(launch, name):
    launched = launch(f"{name}:=/no/such.file")
    text = launched.wait()
    assert launched.process.returncode == 1
    assert f"{name} /no/such.file: no such file" in text
    assert "deprecated" not in text.lower()


def test_an_argument_that_there_is_not_is_told(launch, await_node):
    launched = launch("poitns:=/camera/points", "zzz:=1", "autostart:=false", "namespace:=misspelled")
    await_node(launched, "/misspelled")
    text = launched.interrupt()
    assert "segment.launch.py has no argument poitns; did you mean points?" in text
    assert "segment.launch.py has no argument zzz; -s lists those that there are" in text
    assert "deprecat" not in text.lower()


@pytest.mark.parametrize(("arguments", "has_one"), [((), True), (("fastdds_profile:=none",), False)])
def test_fast_dds_has_its_profile_unless_told_otherwise(launch, await_node, monkeypatch, arguments, has_one):
    for variable in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(variable, raising=False)
    namespace = "profiled" if has_one else "plain"
    launched = launch("autostart:=false", f"namespace:={namespace}", *arguments)
    await_node(launched, f"/{namespace}")
    environment = Path(f"/proc/{launched.node()}/environ").read_text()
    files = re.findall(r"(\w+)_DEFAULT_PROFILES_FILE=.*?([^/\0]*)\0", environment)
    assert files == ([(VARIABLE.removesuffix("_DEFAULT_PROFILES_FILE"), PROFILE.name)] if has_one else [])
    launched.interrupt()


@pytest.mark.parametrize(("level", "quiet"), [("info", False), ("error", True)])
def test_the_log_is_as_quiet_as_asked_in_a_namespace_too(launch, heard, weights, level, quiet):
    namespace = f"{level}/left"
    launched = launch(f"model:={weights}", f"log_level:={level}", f"namespace:={namespace}")
    ask_patiently(heard(launched, namespace=namespace), scene_message(1))  # it has said what it had to say
    assert ("segmenting" not in launched.interrupt()) == quiet


@pytest.mark.parametrize(
    ("points", "words"),
    [("[/a,/b,/c]", "points has 3 topics for 2 cameras"), ("/a", "points /a is one topic for all cameras")],
)
def test_cameras_want_a_topic_each(launch, points, words):
    launched = launch("cameras:=[front,rear]", f"points:={points}")
    text = launched.wait()
    assert launched.process.returncode == 1
    assert words in text


@pytest.mark.parametrize(
    ("points", "topics"),
    [("[/a/points,/b/points]", ("/a/points", "/b/points")), ("cloud", ("front/cloud", "rear/cloud"))],
)
def test_cameras_are_launched_in_one_node(launch, heard, weights, points, topics):
    launched = launch(f"model:={weights}", "cameras:=[front,rear]", f"points:={points}", "namespace:=rigs")
    for name, topic in zip(("front", "rear"), topics, strict=True):
        player = heard(launched, namespace="rigs", camera=name, topic=topic)
        assert ask_patiently(player, scene_message(1)).points.header == header(1)
    launched.interrupt()
