# SPDX-License-Identifier: Apache-2.0
"""Threads of torch and of our kernels, for as long as a test wants them."""

from benchmarks.measure import threads as threads_of

__all__ = ["threads_of"]
