# SPDX-License-Identifier: Apache-2.0
"""However large what comes is, the executor answers while it is taken from DDS."""

import gc
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2

from sphmask_ros.serialized import read_serialized
from sphmask_ros.taking import NotByExecutor, Taking, take_serialized
from test.helpers.ros import TIMEOUT, small_message

LARGE = 80_000_000
"""Bytes of data: 5 million points."""
OFTEN = 0.002
"""Seconds."""
MANY, TRIES = 8, 5
"""So many steps of OFTEN while a message is taken, in one of several tries: a busy machine may have no
processor for them, but whoever waits for the message makes none, however often it is tried."""


@pytest.fixture
def taker(ros):
    node = rclpy.create_node("taker")
    yield node
    node.destroy_node()


@pytest.fixture
def publisher(taker):
    return taker.create_publisher(PointCloud2, "taken", 1)


@pytest.fixture
def subscription(taker):
    subscription = taker.create_subscription(
        PointCloud2, "taken", lambda message: None, 1, callback_group=NotByExecutor(), raw=True
    )
    yield subscription
    taker.destroy_subscription(subscription)


@pytest.fixture
def spin(taker):
    """Lets the node's executor run until a condition holds."""
    executor = SingleThreadedExecutor()
    executor.add_node(taker)

    def spin(condition):
        limit = time.monotonic() + TIMEOUT
        while not condition():
            assert time.monotonic() < limit
            executor.spin_once(timeout_sec=0.1)

    yield spin
    executor.shutdown()


def publish(publisher, subscription, message):
    """Until it has arrived; sent again, for the other side may not be known at first."""
    limit = time.monotonic() + TIMEOUT
    while publisher.get_subscription_count() == 0:
        assert time.monotonic() < limit
        time.sleep(0.01)
    publisher.publish(message)


def large_message(size=LARGE):
    cloud = PointCloud2(height=1, width=size // 16, point_step=16, row_step=size)
    cloud.data.frombytes(np.arange(size // 8).view(np.uint8).data)
    return serialize_message(cloud)


def steps_of_another_thread(work):
    """How often another thread came to run while `work` did, of every OFTEN seconds; its result."""
    steps, ended = [0], threading.Event()

    def count():
        while not ended.wait(OFTEN):
            steps[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    time.sleep(10 * OFTEN)
    before, result = steps[0], work()
    after = steps[0]
    ended.set()
    thread.join()
    return after - before, result


def test_other_threads_run_while_a_large_message_is_taken(publisher, subscription):
    sent = large_message()

    def take():
        limit = time.monotonic() + TIMEOUT
        while (taken := take_serialized(subscription.handle)) is None:
            assert time.monotonic() < limit
        return taken

    def steps_meanwhile():
        publish(publisher, subscription, sent)
        time.sleep(1.0)
        steps, taken = steps_of_another_thread(take)
        assert taken == memoryview(sent)
        return steps

    assert any(steps_meanwhile() >= MANY for _ in range(TRIES))


def test_nothing_is_none(subscription):
    assert take_serialized(subscription.handle) is None


def test_what_was_taken_stays_until_it_is_let_go(publisher, subscription):
    """Memory returns to what it was, and views of a message outlive it."""

    def resident():
        gc.collect()
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    sent, before = large_message(), None
    for _ in range(5):
        publish(publisher, subscription, sent)
        while (taken := take_serialized(subscription.handle)) is None:
            time.sleep(0.01)
        points = np.frombuffer(read_serialized(PointCloud2, taken).data, int)
        del taken
        assert points[-1] == LARGE // 8 - 1 and points[1] == 1
        del points
        before = before or resident()
    assert resident() < before + LARGE


def test_messages_come_on_the_executors_thread_and_the_newest_last(taker, publisher, subscription, spin):
    heard, threads = [], set()

    def receive(message):
        heard.append(read_serialized(PointCloud2, message).header.stamp.sec)
        threads.add(threading.get_ident())

    taking = Taking(taker, subscription, receive)
    spin(lambda: publisher.get_subscription_count())
    for second in range(20):
        publisher.publish(small_message(second))
    spin(lambda: 19 in heard)
    assert heard == sorted(set(heard)) and threads == {threading.get_ident()}
    taking.close()


def test_the_executor_goes_on_while_a_message_is_taken(taker, publisher, subscription, spin):
    heard, ticks = [], []
    taking = Taking(taker, subscription, heard.append)
    timer = taker.create_timer(OFTEN, lambda: ticks.append(bool(heard)))

    def ticks_meanwhile():
        heard.clear()
        publish(publisher, subscription, large_message())
        spin(lambda: not taking.idle)
        ticks.clear()
        spin(lambda: heard)
        return ticks.count(False)

    assert any(ticks_meanwhile() >= MANY for _ in range(TRIES))
    taker.destroy_timer(timer)
    taking.close()


def test_what_is_taken_when_it_is_closed_is_let_go(taker, publisher, subscription, spin):
    heard = []
    taking = Taking(taker, subscription, heard.append)
    publish(publisher, subscription, large_message())
    spin(lambda: not taking.idle)
    taking.close()
    ticks = []
    timer = taker.create_timer(OFTEN, lambda: ticks.append(1))
    spin(lambda: len(ticks) > 5)
    taker.destroy_timer(timer)
    assert not heard


def test_what_cannot_be_taken_raises_in_the_executor(taker, publisher, subscription, spin, monkeypatch):
    def fail(handle):
        take_serialized(handle)
        raise MemoryError("no memory for a message")

    monkeypatch.setattr("sphmask_ros.taking.take_serialized", fail)
    taking = Taking(taker, subscription, lambda message: None)
    spin(lambda: publisher.get_subscription_count())
    publisher.publish(small_message())
    with pytest.raises(MemoryError):
        spin(lambda: False)
    taking.close()
