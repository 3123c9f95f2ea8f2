# SPDX-License-Identifier: Apache-2.0
"""Where tests find real data: $SPHMASK_SHARED, or the folder `shared` beside the checkout; small weights."""

import os
from pathlib import Path

import pytest

import sphmask_core  # noqa: F401  before any test imports torch: idle threads then sleep

# isort: split
import torch
from small import SMALL

from sphmask_core.checkpoints.weights import save_weights
from sphmask_core.method.model import SphericalMask


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


@pytest.fixture
def weights(tmp_path_factory):
    """Weights of the configuration `SMALL`, in a folder of their own."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_weights(path, SphericalMask(SMALL), SMALL)
    return path
