# SPDX-License-Identifier: Apache-2.0
"""RGB-D topics to the real node: depth, color and camera_info by real publishers."""

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
pytest.importorskip("PIL", reason="needs pillow")
import rclpy
from builtin_interfaces.msg import Time
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from sphmask_core.messages.pointcloud2 import cloud_points, read_cloud_message, read_labels
from sphmask_core.messages.rgbd import read_rgbd_frame
from sphmask_core.palette import MID_GRAY
from sphmask_ros.conversions import make, write_points
from sphmask_ros.player import Player, RgbdPlayer
from sphmask_ros.rgbd_input import PATIENCE, WAITING, Pairs
from test.helpers.rgbd import compressed_message, depth_of, image_message, rgbd_frame
from test.helpers.ros import SCENE, TIMEOUT, ask_patiently, header


def frame_at(second, nanosec=0, colored=True):
    stamp = Time(sec=second, nanosec=nanosec)
    return rgbd_frame(make, Header(frame_id="tilted_camera", stamp=stamp), SCENE, colored)


@pytest.fixture(scope="module")
def rgbd_node(own_node):
    return own_node("/rgbd", input="rgbd", color_tolerance=0.02)


@pytest.fixture(scope="module")
def rgbd_player(rgbd_node, own_player):
    return own_player(rgbd_node, "rgbd", RgbdPlayer)


def test_answers_as_it_answers_the_cloud_of_the_same_images(rgbd_player, player):
    answer, second = _ask_until_colored(rgbd_player, range(1, TIMEOUT))
    made, _ = read_rgbd_frame(frame_at(second), lambda *frames: np.eye(4))
    as_cloud = player.ask(write_points(header(second), cloud_points(made)), TIMEOUT)
    assert answer.points.header == answer.instances.header == frame_at(second).header
    cloud = read_cloud_message(answer.points)
    assert cloud.shape == SCENE.shape
    np.testing.assert_allclose(cloud.xyz, SCENE.xyz, atol=1e-6)
    answered, expected = (
        [(item.score, item.point_count, item.first_point) for item in sent.instances.instances]
        for sent in (answer, as_cloud)
    )
    assert answered == expected and len(answered) > 1
    np.testing.assert_array_equal(read_labels(answer.points) > 0, read_labels(as_cloud.points) > 0)


def test_the_label_image_is_the_depth_image_pixel_for_pixel(rgbd_player):
    heard = []
    subscription = rgbd_player.create_subscription(Image, "segment/label_image", heard.append, 1)
    limit = time.monotonic() + TIMEOUT
    second, mine = 10, []
    while not mine:
        assert time.monotonic() < limit
        second += 1
        answer = ask_patiently(rgbd_player, frame_at(second))
        rclpy.spin_once(rgbd_player, timeout_sec=0.5)
        mine = [image for image in heard if image.header == answer.points.header]
    rgbd_player.destroy_subscription(subscription)
    image = mine[-1]
    assert (image.height, image.width, image.encoding) == (*SCENE.shape, "16UC1")
    np.testing.assert_array_equal(
        np.frombuffer(image.data, "<u2"), read_labels(answer.points).astype(np.uint16)
    )


def test_colors_of_nearly_the_same_time_are_taken_and_others_waited_for(rgbd_player):
    """A color image 5 ms later belongs to the depth image, one 500 ms later does not."""
    # Colors come, so that a depth image waits for its own.
    _, second = _ask_until_colored(rgbd_player, range(20, 20 + TIMEOUT))
    with pytest.raises(TimeoutError):
        rgbd_player.ask(_late_color(second + 1, 500_000_000), 0.5)
    seconds = range(second + 2, second + 2 + TIMEOUT)
    answer, second = _ask_until_colored(rgbd_player, seconds, lambda second: _late_color(second, 5_000_000))
    assert answer.points.header.stamp == Time(sec=second)


def _late_color(second, nanosec):
    return replace(frame_at(second), color=frame_at(second, nanosec).color)


def _ask_until_colored(player, seconds, frame=frame_at):
    """An answer that has the frame's colors, and the second of its frame.

    Depth images go alone while color images are not heard yet, and are refused while camera_info is not; each
    has a second of its own.
    """
    for second in seconds:
        answer = ask_patiently(player, frame(second))
        if not answer.instances.instances:
            continue
        if (read_cloud_message(answer.points).rgb[read_labels(answer.points) == 0] != MID_GRAY).any():
            _assert_colored(answer.points)
            return answer, second
    raise AssertionError("no depth image met its color image")


def _assert_colored(points):
    background = read_labels(points) == 0
    np.testing.assert_array_equal(read_cloud_message(points).rgb[background], SCENE.rgb[background])


def test_the_first_depth_image_after_a_pause_waits_for_its_color(rgbd_player):
    """The topics of a camera are taken one by one: its depth may come before its color, by a moment."""
    frame = frame_at(36)
    heard = []
    subscription = rgbd_player.create_subscription(
        PointCloud2,
        "segment/labelled_points",
        lambda points: points.header == frame.header and heard.append(points),
        1,
    )
    colors = rgbd_player.create_publisher(Image, "color", 1)
    ask_patiently(rgbd_player, frame_at(34))
    time.sleep(PATIENCE + 0.2)
    rgbd_player.publish(replace(frame, color=None))
    rclpy.spin_once(rgbd_player, timeout_sec=0.3)
    limit = time.monotonic() + TIMEOUT
    while not heard and time.monotonic() < limit:
        colors.publish(frame.color)
        rclpy.spin_once(rgbd_player, timeout_sec=0.5)
    rgbd_player.destroy_subscription(subscription)
    rgbd_player.destroy_publisher(colors)
    assert heard
    _assert_colored(heard[0])


def test_depth_alone_is_answered_when_no_color_comes(rgbd_player, rgbd_node):
    answer = ask_patiently(rgbd_player, frame_at(700, colored=False))
    assert answer.points.header.stamp == Time(sec=700)
    assert len(answer.instances.instances) > 0
    background = read_cloud_message(answer.points).rgb[read_labels(answer.points) == 0]
    assert (background == MID_GRAY).all()
    _ask_until_colored(rgbd_player, range(701, 701 + TIMEOUT))


def test_compressed_topics_are_found_by_their_types(ros, start_node):
    node = start_node("/packed", input="rgbd")
    player = RgbdPlayer(namespace="packed", depth=CompressedImage, color=CompressedImage)
    player.wait_until_heard(TIMEOUT, node.running)
    answer = _ask_until_found(player, _packed_frame)
    cloud = read_cloud_message(answer.points)
    np.testing.assert_allclose(cloud.xyz[:, 2], SCENE.xyz[:, 2], atol=0.0006)
    player.destroy_node()
    assert node.end() == 0, node.text()


def _packed_frame(second):
    plain = frame_at(second)
    depth = np.round(depth_of(SCENE) * 1000).astype(np.uint16)
    colors = SCENE.rgb.reshape(*SCENE.shape, 3)
    return replace(
        plain,
        depth=compressed_message(make, plain.header, depth, "16UC1; compressedDepth png"),
        color=compressed_message(make, plain.header, colors, "rgb8; jpeg compressed bgr8"),
    )


def _ask_until_found(player, frame, seconds=range(1, TIMEOUT)):
    """An answer with instances: the first images, before camera_info is heard, are refused."""
    limit = time.monotonic() + TIMEOUT
    for second in seconds:
        answer = ask_patiently(player, frame(second))
        if answer.instances.instances:
            return answer
        assert time.monotonic() < limit
        time.sleep(0.5)
    raise AssertionError("no instances in any frame")


def test_images_without_camera_info_and_bad_images_are_one_clear_line(ros, start_node):
    node = start_node("/blind", input="rgbd")
    player = RgbdPlayer(namespace="blind")
    player.wait_until_heard(TIMEOUT, node.running)
    answer = ask_patiently(player, replace(frame_at(1), info=None))
    assert answer.points.width == 0 and not answer.instances.instances
    node.wait_for_log("no objects in a cloud of 'tilted_camera': no camera_info has come for its depth image")
    _ask_until_found(player, frame_at, range(2, TIMEOUT))
    wrong = image_message(make, frame_at(300).header, SCENE.rgb.reshape(*SCENE.shape, 3), "rgb8")
    assert not ask_patiently(player, replace(frame_at(300), depth=wrong)).instances.instances
    assert ask_patiently(player, frame_at(301)).instances.instances
    player.destroy_node()
    assert node.end() == 0, node.text()
    assert "Traceback" not in node.text()


def test_clouds_are_not_listened_to(ros, rgbd_node):
    player = Player(namespace="rgbd")
    player.publish(write_points(header(1), cloud_points(SCENE)))
    time.sleep(1.0)
    assert player.count_subscribers("/rgbd/points") == 0
    player.destroy_node()


EVENTS = st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=60)


@settings(max_examples=300, deadline=None)
@given(EVENTS, st.integers(0, 20))
def test_pairs_are_near_enough_in_order_and_never_used_twice(events, tolerance):
    pairs, paired = Pairs(), []
    for is_first, stamp in events:
        add = pairs.add_first if is_first else pairs.add_second
        pair = add(stamp, stamp, tolerance)
        if pair:
            assert stamp in pair
            paired.append(pair)
    assert all(abs(first - second) <= tolerance for first, second in paired)
    if events == sorted(events, key=lambda event: event[1]):
        for before, after in pairwise(paired):
            assert before[0] <= after[0] and before[1] <= after[1]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(0, 9), st.lists(st.booleans(), min_size=60, max_size=60))
def test_every_image_is_paired_where_both_streams_are_complete(count, shift, order):
    """At 30 Hz with a shift below the tolerance, whichever of the two comes first."""
    pairs, paired = Pairs(), []
    for i in range(count):
        adds = [(pairs.add_first, 33 * i), (pairs.add_second, 33 * i + shift)]
        for add, stamp in adds if order[i] else adds[::-1]:
            pair = add(stamp, stamp, 10)
            paired += [pair] if pair else []
    assert paired == [(33 * i, 33 * i + shift) for i in range(count)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 15), st.booleans()), max_size=40),
    st.integers(0, 15),
)
def test_pairs_are_those_of_message_filters(periods, tolerance):
    """Images of 30 Hz, some of them lost; colors are late, but may come first."""
    filters = pytest.importorskip("message_filters", reason="needs message_filters, not on PyPI")
    streams, theirs = (filters.SimpleFilter(), filters.SimpleFilter()), []
    # Its limit is below the slop, ours is the tolerance itself.
    synchronizer = filters.ApproximateTimeSynchronizer(streams, WAITING, (tolerance + 0.5) / 1e3)
    synchronizer.registerCallback(lambda *pair: theirs.append(tuple(map(_milliseconds, pair))))
    pairs, ours = Pairs(), []
    for i, (depth_there, color_there, late, color_first) in enumerate(periods):
        sent = [(0, pairs.add_first, 1000 + 33 * i)] * depth_there
        sent += [(1, pairs.add_second, 1000 + 33 * i + late)] * color_there
        for stream, add, stamp in sent[::-1] if color_first else sent:
            clock = Time(sec=stamp // 1000, nanosec=stamp % 1000 * 10**6)
            streams[stream].signalMessage(Image(header=Header(stamp=clock)))
            pair = add(stamp, stamp, tolerance)
            ours += [pair] if pair else []
    assert ours == theirs


def _milliseconds(msg):
    return msg.header.stamp.sec * 1000 + msg.header.stamp.nanosec // 10**6


def test_what_waits_is_bounded():
    pairs = Pairs()
    for stamp in range(0, 100_000, 100):
        assert pairs.add_first(stamp, stamp, 10) is None
    assert pairs.add_second(99_900 - 100 * WAITING, 0, 10) is None
    assert pairs.add_second(99_900, 1, 10) == (99_900, 1)


def test_a_clock_that_goes_back_begins_anew():
    pairs = Pairs()
    assert pairs.add_first(1000, "late", 10) is None
    assert pairs.add_first(5, "early", 10) is None
    assert pairs.add_second(1000, "late color", 10) is None
    assert pairs.add_second(7, "early color", 10) is None  # the clock of this stream goes back, too
    assert pairs.add_first(38, "next", 10) is None
    assert pairs.add_second(40, "next color", 10) == ("next", "next color")
