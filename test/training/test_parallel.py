# SPDX-License-Identifier: Apache-2.0
"""Scenes made by many processes are those of one, in order, and errors say what they say."""

import os

import pytest

from sphmask_core.clouds.cloud import CloudError
from training.parallel import in_parallel


@pytest.fixture(params=[1, 3], ids=["alone", "three"])
def cores(request, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(request.param)))
    return request.param


def test_in_order_and_by_as_many_processes_as_cores(cores):
    made = in_parallel(lambda number: (number**2, os.getpid()), 20, "squares")
    assert [square for square, _ in made] == [number**2 for number in range(20)]
    processes = {process for _, process in made}
    assert len(processes) == cores and (os.getpid() in processes) == (cores == 1)


def test_an_error_is_raised_as_it_is(cores):
    def make(number):
        if number == 5:
            raise CloudError("learn5.pcd: cut off")
        return number

    with pytest.raises(CloudError, match=r"^learn5\.pcd: cut off$"):
        in_parallel(make, 9, "files")


def test_nothing_to_make(cores):
    assert in_parallel(str, 0, "nothing") == []
