# SPDX-License-Identifier: Apache-2.0
"""Where tests find real data: $SPHMASK_SHARED, or the folder `shared` beside the checkout."""

import os
from pathlib import Path

import pytest

import sphmask_core  # noqa: F401  before any test imports torch: idle threads then sleep


@pytest.fixture(scope="session")
def shared():
    root = Path(os.environ.get("SPHMASK_SHARED", Path(__file__).parents[2] / "shared"))
    if not root.is_dir():
        pytest.skip(f"real data not found: {root} (set SPHMASK_SHARED)")
    return root


@pytest.fixture(scope="session")
def golden(shared):
    """Folder of the published implementation's tensors."""
    return shared / "golden"


@pytest.fixture(scope="session")
def mosd(shared):
    """Folder of real Kinect scenes of tables."""
    return shared / "mosd" / "learn"
