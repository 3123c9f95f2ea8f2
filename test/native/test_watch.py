# SPDX-License-Identifier: Apache-2.0
"""Kernels that take long end where they are when another thread calls them off."""

import threading
import time

import numpy as np
import pytest
import torch

from sphmask_core import native
from sphmask_core.config import SuperpointConfig
from sphmask_core.method.superpoints import compute_superpoints
from sphmask_core.runtime.cancellation import Cancellation, CancelledError, TooLateError
from sphmask_core.sparse.maps import number_by_first_appearance

SIDE = 1500
"""Voxels along a wavy square: superpoints of 2 million voxels take longer than `DELAY` on any machine."""
DELAY = 0.1
"""Seconds."""


@pytest.fixture(scope="module")
def square():
    """Voxels (V, 3) int32 of a wavy square."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    z = np.round(20 * np.sin(x / 50))
    return torch.from_numpy(np.stack([x, y, z], 2).reshape(-1, 3).astype(np.int32))


def test_superpoints_end_when_they_are_called_off(square):
    cancellation = Cancellation()
    timer = threading.Timer(DELAY, cancellation.cancel)
    timer.start()
    with pytest.raises(CancelledError, match="superpoints"), native.watching(cancellation.flag):
        compute_superpoints(square, square.float(), SuperpointConfig())


def test_superpoints_end_when_their_time_is_over(square):
    cancellation = Cancellation(time.monotonic() + DELAY)
    with pytest.raises(TooLateError) as raised, cancellation.timed() as flag, native.watching(flag):
        compute_superpoints(square, square.float(), SuperpointConfig())
    assert "superpoints: called off" in str(raised.value.__context__)


def test_only_the_thread_that_watches_is_called_off(square):
    flag = np.ones(1, np.int32)
    keys = torch.arange(1000)
    ended = []

    def number():
        ended.append(number_by_first_appearance(keys))

    with native.watching(flag):
        with pytest.raises(CancelledError, match="number_keys"):
            number()
        thread = threading.Thread(target=number)
        thread.start()
        thread.join()
    number()
    assert len(ended) == 2
