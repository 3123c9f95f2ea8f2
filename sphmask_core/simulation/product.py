# SPDX-License-Identifier: Apache-2.0
"""Products of a small matrix and many columns, on one thread (numpy would start more)."""

from __future__ import annotations

import numpy as np

PIECE = 3000
"""Columns for which BLAS starts no threads; they would take more time than they save, most of all where
many processes simulate at once."""


def product(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns a matrix (K, 3) or a row (3,) times columns (3, ...), in their type: (K, ...) or (...)."""
    flat = columns.reshape(len(columns), -1)
    matrix = matrix.astype(columns.dtype, copy=False)
    products = np.empty((*matrix.shape[:-1], flat.shape[1]), columns.dtype)
    for first in range(0, flat.shape[1], PIECE):
        piece = slice(first, first + PIECE)
        np.matmul(matrix, flat[:, piece], out=products[..., piece])
    return products.reshape(*matrix.shape[:-1], *columns.shape[1:])
