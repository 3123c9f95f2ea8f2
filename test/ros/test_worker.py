# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
from sphmask_ros.worker import NewestFirst


def test_works_on_the_newest_and_tells_what_it_drops():
    begun, go_on, done = threading.Semaphore(0), threading.Semaphore(0), []

    def work(item):
        begun.release()
        go_on.acquire()
        done.append(item)

    worker = NewestFirst(work)
    worker.offer("first")
    assert begun.acquire(timeout=5)
    assert [worker.offer(item) for item in ("second", "third", "last")] == [False, True, True]
    go_on.release(2)
    assert begun.acquire(timeout=5)
    worker.stop()
    assert done == ["first", "last"]


def test_stop_drops_what_was_not_begun():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def work(item):
        begun.set()
        go_on.wait(5)
        done.append(item)

    worker = NewestFirst(work)
    worker.offer("first")
    assert begun.wait(5)
    worker.offer("second")
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    go_on.set()
    stopping.join(5)
    assert done in (["first"], ["first", "second"])  # the second may begin before the stop is heard
    assert not stopping.is_alive()
