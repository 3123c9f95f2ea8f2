# SPDX-License-Identifier: Apache-2.0
"""Work of many processes is that of one, and errors say what they say."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sphmask_core.clouds.cloud import CloudError
from training.parallel import in_parallel


class Squares:
    """Counts the items that it got in this process."""

    def __init__(self):
        self.calls = 0

    def __call__(self, number):
        self.calls += 1
        return number**2, os.getpid(), self.calls


def read(number):
    if number == 5:
        raise CloudError("learn5.pcd: cut off")
    return number


@pytest.mark.parametrize("processes", [1, 2])
def test_every_item_is_done_by_as_many_processes(processes):
    made = list(in_parallel(Squares(), range(20), processes))
    assert sorted(square for square, _, _ in made) == [number**2 for number in range(20)]
    by = {process: max(calls for _, p, calls in made if p == process) for _, process, _ in made}
    assert sum(by.values()) == 20  # the object went to each process once
    assert len(by) <= processes and (os.getpid() in by) == (processes == 1)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_is_raised_as_it_is(processes):
    with pytest.raises(CloudError, match=r"^learn5\.pcd: cut off$"):
        list(in_parallel(read, range(9), processes))


def test_nothing_to_do():
    assert list(in_parallel(read, [], 2)) == []


def say_and_sleep(_):
    print(os.getpid(), flush=True)
    time.sleep(300)


PARENT = "from test.training.test_parallel import *; list(in_parallel(say_and_sleep, range(2), 2))"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(number):
    """Else they would wait for work for ever, with all the memory that they have."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    parent.send_signal(number)
    assert parent.wait(60) == -number
    assert ended(*workers)


def ended(*processes):
    """Whether they have, or will within a minute; those that have not are ended."""
    limit = time.monotonic() + 60
    left = [process for process in processes if Path(f"/proc/{process}").exists()]
    while left and time.monotonic() < limit:
        time.sleep(0.1)
        left = [process for process in left if Path(f"/proc/{process}").exists()]
    for process in left:
        os.kill(process, signal.SIGKILL)
    return not left
