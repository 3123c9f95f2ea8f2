# SPDX-License-Identifier: Apache-2.0
"""Services answer while a model is loaded: nothing keeps Python's lock for long."""

import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")

PROGRAM = """
import gc, sys, time
from sphmask_ros.__main__ import SWITCH, shorten_pauses
import sphmask_ros.segment_node

def longest():
    begun = time.perf_counter()
    gc.collect()
    return time.perf_counter() - begun

longest()
before = longest()
shorten_pauses()
print(before / longest(), sys.getswitchinterval() / SWITCH)
"""
SHORTER = 10
"""Times; it is some thousands."""


def test_what_is_imported_is_not_searched_for_garbage():
    text = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True)
    times_shorter, switch = map(float, text.split())
    assert times_shorter > SHORTER
    assert switch == pytest.approx(1)
