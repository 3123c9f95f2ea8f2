# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
from sphmask_ros.worker import NewestFirst
from test.helpers.patience import TIMEOUT


@pytest.fixture
def worker():
    """A worker whose work waits to be allowed, what it has begun, and what allows it to go on."""
    begun, go_on, done = threading.Semaphore(0), threading.Semaphore(0), []

    def work(item):
        begun.release()
        go_on.acquire()
        done.append(item)

    worker = NewestFirst(work)
    yield worker, begun, go_on, done
    go_on.release(100)
    worker.end(TIMEOUT)


def test_works_on_the_newest_and_tells_what_it_drops(worker):
    worker, begun, go_on, done = worker
    worker.offer("a", "first")
    assert begun.acquire(timeout=TIMEOUT)
    assert [worker.offer("a", item) for item in ("second", "third", "last")] == [False, True, True]
    go_on.release(2)
    assert begun.acquire(timeout=TIMEOUT)
    worker.end(TIMEOUT)
    assert done == ["first", "last"]


def test_sources_take_turns_however_often_they_offer(worker):
    worker, begun, go_on, done = worker
    for number in range(8):
        for source in "aaab":
            worker.offer(source, (source, number))
        assert begun.acquire(timeout=TIMEOUT)
        go_on.release()
    assert [source for source, _ in done[1:7]] in (list("ababab"), list("bababa"))


def test_what_waits_can_be_forgotten_while_it_works(worker):
    worker, begun, go_on, done = worker
    worker.offer("a", "first")
    assert begun.acquire(timeout=TIMEOUT)
    worker.offer("a", "second")
    worker.offer("b", "third")
    assert worker.clear() == (["second", "third"], "first")
    worker.offer("a", "fourth")
    go_on.release(2)
    assert begun.acquire(timeout=TIMEOUT)
    worker.end(TIMEOUT)
    assert done == ["first", "fourth"]
    assert worker.clear() == ([], None)


def test_a_task_waits_for_the_work_alone(worker):
    worker, begun, go_on, done = worker
    worker.offer("a", "first")
    assert begun.acquire(timeout=TIMEOUT)
    worker.offer("a", "second")
    worker.then(lambda: done.append("task"))
    go_on.release(2)
    assert begun.acquire(timeout=TIMEOUT)
    worker.end(TIMEOUT)
    assert done == ["first", "task", "second"]
