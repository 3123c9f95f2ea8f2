# SPDX-License-Identifier: Apache-2.0
"""Inputs that DDS has not joined to their publishers, or cannot subscribe to yet, hear them in the end."""

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from sphmask_ros.cloud_input import FIRST_SILENCE, LONGEST_SILENCE, MatchedInput, Silence
from sphmask_ros.rgbd_input import IMAGES
from test.helpers.ros import TIMEOUT

CAMERA, OTHER = {(1, 2)}, {(3, 4)}
"""Ids of publishers."""


class Listener(Node):
    """A node whose first subscriptions are joined to no publisher, without its knowing."""

    def __init__(self, unjoined):
        super().__init__("listener", namespace="matching")
        self._unjoined = unjoined

    def create_subscription(self, kind, topic, *arguments, **options):
        self._unjoined -= 1
        elsewhere = f"{topic}_elsewhere" if self._unjoined >= 0 else topic
        return super().create_subscription(kind, elsewhere, *arguments, **options)


@pytest.fixture(params=[0])
def listener(ros, request):
    node = Listener(request.param)
    yield node
    node.destroy_node()


@pytest.fixture
def camera(domain):
    """A node of a participant of its own."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("camera", namespace="matching", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def heard():
    """What a node heard."""
    return []


@pytest.fixture
def listen(listener, heard):
    """Listens to a topic of images, plain or compressed."""
    inputs = []

    def begin(topic):
        def refuse(what, error):
            raise error

        inputs.append(MatchedInput(listener, topic, IMAGES, heard.append, lambda: "auto", refuse))

    yield begin
    inputs[0].close()


def publish_until(condition, publisher, node, message, raised):
    """Publish a message again and again while a node's callbacks run; what they raise goes to a list."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    limit = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < limit
        publisher.publish(message)
        try:
            executor.spin_once(timeout_sec=0.1)
        except Exception as error:
            raised.append(error)
    executor.shutdown()


@pytest.mark.parametrize("listener", [2], indirect=True)  # before the publisher is known, and after
def test_an_input_that_dds_has_not_joined_subscribes_again(listener, camera, listen, heard, capfd):
    raised = []
    listen("unjoined")
    publisher = camera.create_publisher(Image, "unjoined", 1)
    begun = time.monotonic()
    publish_until(lambda: heard, publisher, listener, Image(width=1), raised)
    assert heard[0].width == 1
    assert time.monotonic() - begun > FIRST_SILENCE
    assert "/matching/unjoined is published, but nothing has come of it" in capfd.readouterr().err
    assert not raised


def test_an_input_that_cannot_subscribe_tries_again(listener, camera, listen, heard):
    """A participant knows one type of a topic: whoever asks for another is refused meanwhile."""
    raised = []
    listen("refused")
    first = listener.create_subscription(Image, "refused", lambda msg: None, 1)
    publisher = camera.create_publisher(CompressedImage, "refused", 1)
    publish_until(lambda: raised, publisher, listener, CompressedImage(format="jpeg"), raised)
    assert "create subscription" in str(raised[0])
    assert not heard
    listener.destroy_subscription(first)
    publish_until(lambda: heard, publisher, listener, CompressedImage(format="jpeg"), raised)
    assert heard[0].format == "jpeg"


def test_the_silence_of_publishers_is_asked_about_ever_less_often():
    silence, now, asked = Silence(), 100.0, []
    while now < 1000.0:
        if silence.is_long(CAMERA, now):
            asked.append(now)
        now += 0.5
    gaps = [later - earlier for earlier, later in zip([100.0, *asked], asked, strict=False)]
    assert gaps[:4] == [FIRST_SILENCE, 2 * FIRST_SILENCE, 4 * FIRST_SILENCE, 8 * FIRST_SILENCE]
    assert set(gaps[4:]) == {LONGEST_SILENCE}


def test_silence_after_a_message_or_without_publishers_is_no_deafness():
    silence = Silence()
    assert not any(silence.is_long(set(), now) for now in range(100))
    assert not silence.is_long(CAMERA, 100.0)
    silence.end()
    assert not any(silence.is_long(CAMERA, now) for now in range(100, 300))
    assert not silence.is_long(OTHER, 300.0)  # others, who have not been heard yet
    assert silence.is_long(OTHER, 300.0 + FIRST_SILENCE)
