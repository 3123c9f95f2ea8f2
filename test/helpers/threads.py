# SPDX-License-Identifier: Apache-2.0
"""Threads of torch and of our kernels, for as long as a test wants them."""

from contextlib import contextmanager

import torch


@contextmanager
def threads_of(count):
    """So many threads within the block, as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
