# SPDX-License-Identifier: Apache-2.0
"""Idle threads sleep: what they do after a product of matrices is told by the process's time."""

import os
import subprocess
import sys

import pytest

IDLE = """
import {first}
import time
import numpy as np
square = np.ones((1000, 1000))
square @ square
begun = time.process_time()
time.sleep(0.1)
print(time.process_time() - begun)
"""
NODE = """
import os, sys
import sphmask_ros.__main__
print(os.environ["GOMP_SPINCOUNT"], os.environ["OPENBLAS_THREAD_TIMEOUT"])
print(*{"numpy", "torch"} & set(sys.modules))
"""


def output_of(program):
    settings = {
        name: value for name, value in os.environ.items() if "OPENBLAS" not in name and "OMP" not in name
    }
    return subprocess.run(
        [sys.executable, "-c", program], env=settings, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processors")
def test_threads_of_numpy_sleep_when_they_have_nothing_to_do():
    assert float(output_of(IDLE.format(first="sphmask_core"))) < 0.01


def test_the_node_says_so_before_it_loads_them():
    assert output_of(NODE).split() == ["5000", "4"]
