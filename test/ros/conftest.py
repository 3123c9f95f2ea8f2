# SPDX-License-Identifier: Apache-2.0
"""A node in a process of its own, with a small model whose instances are balls around its queries."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sphmask_core import Instances
from test.helpers.patience import TIMEOUT

ENDING = 5.0
"""Seconds from a signal to the end of a node, which ends its process after one (sphmask_ros/signals.py) where
the machine gives it a processor; after five ros2 launch sends the next signal."""
LAST_WORDS = 3000
"""Letters of a node's log that are shown."""
ROOT = Path(__file__).parents[2]
DOMAIN = 1 + os.getpid() % 100


@pytest.fixture(scope="session")
def weights(balls_weights):
    """What nodes of these tests run with."""
    return balls_weights


def made_instances(count, points=50):
    """Instances with random members, in a frame that is turned."""
    rng = np.random.default_rng(count)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation[0] *= np.linalg.det(rotation)
    segments = rng.integers(0, 10, points)  # 9: of no instance
    masks = (rng.random((count, 10)) < 0.4) & (np.arange(10) < 9)
    dense = masks[:, segments]
    scores = np.sort(rng.random(count).astype(np.float32))[::-1]
    return Instances(
        segment_masks=masks,
        segments=segments,
        labels=((np.vstack([dense, np.ones(points, bool)]).argmax(0) + 1) % (count + 1)).astype(np.int32),
        scores=scores,
        class_ids=rng.integers(0, 3, count).astype(np.int32),
        class_names=tuple(f"class {i}" for i in range(count)),
        centers=rng.normal(size=(count, 3)).astype(np.float32),
        rays=rng.random((count, 24)).astype(np.float32),
        boxes=np.sort(rng.normal(size=(count, 2, 3)).astype(np.float32), axis=1).reshape(count, 6),
        rotation=rotation.astype(np.float32),
        timings={},
    )


@pytest.fixture(scope="session")
def make_instances():
    return made_instances


class NodeProcess:
    """The node `segment` in a process of its own."""

    started: ClassVar = []
    """All of them."""

    def __init__(self, log, namespace, points, params_file=None, **parameters):
        command = [sys.executable, "-m", "sphmask_ros", "--ros-args"]
        command += ["-r", f"__ns:={namespace}", "-r", f"points:={points}"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        command += ["--params-file", params_file] if params_file else []
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(DOMAIN),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "OMP_NUM_THREADS": "2",
        }
        self.log, self.namespace = log, namespace
        self.started.append(self)
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def running(self):
        return self.process.poll() is None

    def text(self):
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text())

    def says(self, text, timeout):
        """Whether it writes this, at the latest after `timeout` seconds."""
        limit = time.monotonic() + timeout
        while text not in self.text():
            if not self.running() or time.monotonic() > limit:
                return False
            time.sleep(0.1)
        return True

    def wait_for_log(self, text, timeout=TIMEOUT):
        assert self.says(text, timeout), self.text()

    def memory(self):
        """Resident memory, MB."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def end(self, number=signal.SIGINT):
        """Exit code after a signal, which has to come soon."""
        begun = time.monotonic()
        self.process.send_signal(number)
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()
            assert time.monotonic() - begun < ENDING, self.text()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show, where a test failed, what the nodes said that run or have ended unasked."""
    report = (yield).get_result()
    for node in NodeProcess.started if report.failed else ():
        if node.process.poll() != 0:
            state = "runs" if node.running() else f"ended with {node.process.returncode}"
            report.sections.append(
                (f"the node in {node.namespace}, which {state}", node.text()[-LAST_WORDS:])
            )
    return report


@pytest.fixture(scope="session")
def start_node(tmp_path_factory, weights):
    """Start a node; parameters by keyword, the model that finds balls unless another is named."""
    started = []

    def start(namespace="/", points="points", **parameters):
        log = tmp_path_factory.mktemp("node") / "log"
        values = {"model": weights, "min_score": 0.0} | parameters
        started.append(NodeProcess(log, namespace, points, **values))
        return started[-1]

    yield start
    for node in started:
        if node.running():
            node.process.kill()


@pytest.fixture(scope="module")
def own_node(start_node):
    """Start a node for the tests of one file; it must end as it should after all that they sent to it."""
    nodes = []

    def start(namespace, **parameters):
        nodes.append(start_node(namespace, **parameters))
        return nodes[-1]

    yield start
    for node in nodes:
        assert node.end() == 0, node.text()
        assert "Traceback" not in node.text()


@pytest.fixture(scope="session")
def node(start_node):
    """One node that most tests share; it must end as it should after all that they sent to it."""
    node = start_node()
    yield node
    assert node.end() == 0, node.text()
    assert "Traceback" not in node.text()


@pytest.fixture(scope="session")
def ros():
    """ROS 2 in this process, on the tests' own domain."""
    import rclpy

    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init(domain_id=DOMAIN)
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def own_player(ros):
    """Make a player for the tests of one file, which a node hears; its class and arguments by keyword."""
    from sphmask_ros.player import Player

    players = []

    def make(node, namespace, kind=Player, **arguments):
        players.append(kind(namespace=namespace, **arguments))
        players[-1].wait_until_heard(TIMEOUT, node.running)
        return players[-1]

    yield make
    for player in players:
        player.destroy_node()


@pytest.fixture(scope="session")
def domain():
    return DOMAIN


@pytest.fixture(scope="session")
def player(ros, node):
    """Publishes clouds to the shared node and hears its answers.

    Both sides know each other once one has come: nothing is lost from then on, so that a cloud is sent once
    and answered once. Several clouds may then have the same stamp.
    """
    from sphmask_ros.player import Player
    from test.helpers.ros import ask_patiently, small_message

    player = Player()
    player.wait_until_heard(TIMEOUT, node.running)
    ask_patiently(player, small_message(0))
    yield player
    player.destroy_node()
