# SPDX-License-Identifier: Apache-2.0
"""Sparse convolution: index maps, engines for CPU and CUDA, and the modules that use them."""
