# SPDX-License-Identifier: Apache-2.0
"""Where tests find private data, and small models that several folders of tests use.

Private data are real scenes and the published implementation's tensors: in $SPHMASK_SHARED, or in a folder
`shared` beside the checkout. Without them the tests that need them are skipped, and all others run. Where $CI
is set and there should be data, as $SPHMASK_SHARED or the folder says, what is missing is a failure.
"""

import os
from contextlib import suppress
from pathlib import Path

import pytest

import sphmask_core  # noqa: F401  before any test imports torch: idle threads then sleep

# isort: split
import torch

from sphmask_core.checkpoints.weights import save_weights
from sphmask_core.method.model import SphericalMask
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers import balls
from test.helpers.pcd import pcd_bytes
from test.helpers.small import SMALL
from test.helpers.threads import threads_of

SHARED = Path(os.environ.get("SPHMASK_SHARED", Path(__file__).parents[2] / "shared"))
EXPECTED = bool(os.environ.get("CI")) and ("SPHMASK_SHARED" in os.environ or SHARED.is_dir())


with suppress(ImportError):  # tests of an installed package do without
    from hypothesis import HealthCheck, settings

    # How long an example takes is the machine's affair: 200 ms, the default, is little on a busy one.
    settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("any machine")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # a core for each process


def private(path):
    """The path, if it is there."""
    if not path.exists():
        (pytest.fail if EXPECTED else pytest.skip)(f"private data not found: {path} (set SPHMASK_SHARED)")
    return path


@pytest.fixture(scope="session")
def golden():
    """Folder of the published implementation's tensors."""
    return private(SHARED / "golden")


@pytest.fixture(scope="session")
def mosd():
    """Folder of real Kinect scenes of tables."""
    return private(SHARED / "mosd" / "learn")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Weights of the configuration `SMALL`, in a folder of their own."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "small.safetensors"
    save_weights(path, SphericalMask(SMALL), SMALL)
    return path


@pytest.fixture(scope="session")
def balls_weights(tmp_path_factory):
    """Weights that find balls in any cloud, in a folder of their own."""
    path = tmp_path_factory.mktemp("models") / "balls.safetensors"
    save_weights(path, balls.balls(), balls.CONFIG)
    return path


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    """A folder of fifteen simulated frames in the files of mOSD, three of them for validation."""
    folder = tmp_path_factory.mktemp("tables")
    for seed in range(15):
        (folder / f"learn{seed}.pcd").write_bytes(pcd_bytes(simulate_cloud(seed, 160, 120)))
    return folder


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    """The test once with one thread, once with two."""
    with threads_of(request.param):
        yield request.param


@pytest.fixture
def one_thread():
    """Sums in one order, whatever number of threads earlier tests have left."""
    with threads_of(1):
        yield
