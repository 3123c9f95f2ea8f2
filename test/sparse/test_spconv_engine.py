# SPDX-License-Identifier: Apache-2.0
"""spconv with our weights against our own engine, on the CPU with one thread, where it is right."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sphmask_core.method.backbone import SparseUNet
from sphmask_core.sparse import spconv_engine
from sphmask_core.sparse.maps import build_levels
from test.helpers.clouds import random_coords
from test.helpers.golden import assert_close, open_run


@pytest.fixture
def spconv(one_thread):
    pytest.importorskip("spconv.pytorch", reason="spconv is not installed")


@pytest.mark.usefixtures("spconv")
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    size=st.tuples(*[st.integers(1, 9)] * 3),
    fill=st.sampled_from([0.05, 0.3, 1.0]),
    num_levels=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
@torch.no_grad()
def test_u_net_equals_ours(size, fill, num_levels, seed):
    """Every kind of convolution, on scenes of odd sizes, of one voxel, or without any."""
    coords = random_coords(size, fill, batch=3, seed=seed)
    coords = coords[coords[:, 0] != 1] if (coords[:, 0] != 1).any() else torch.zeros(1, 4, dtype=torch.int32)
    net = SparseUNet(6, 8, num_levels).eval()
    x = torch.randn(len(coords), 6)
    ours, theirs = (
        net.unet(net.input(x, levels[0]), levels)
        for levels in (build_levels(coords, num_levels), spconv_engine.build_levels(coords, num_levels))
    )
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)


@pytest.mark.usefixtures("spconv")
@torch.inference_mode()
def test_golden_backbone(golden, monkeypatch):
    monkeypatch.setattr(spconv_engine, "chosen", lambda device: True)
    arrays, model, voxels = open_run(golden, "inference_single")
    assert_close(model.backbone(voxels.features, voxels.coords), arrays["voxel_feats"])


def test_chosen_on_cuda_alone(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda:1")
    monkeypatch.delenv("SPHMASK_CUDA_ENGINE", raising=False)
    assert not spconv_engine.chosen(cuda)
    monkeypatch.setenv("SPHMASK_CUDA_ENGINE", "spconv")
    assert spconv_engine.chosen(cuda) and not spconv_engine.chosen(cpu)
    monkeypatch.setenv("SPHMASK_CUDA_ENGINE", "tensorrt")
    with pytest.raises(ValueError, match="SPHMASK_CUDA_ENGINE=tensorrt: must be one of triton, spconv"):
        spconv_engine.chosen(cpu)


def test_missing_spconv_says_what_to_install():
    """Absent, or built without CUDA, as it is wherever this runs without a GPU."""
    if torch.cuda.is_available():
        pytest.skip("spconv may be built for this machine's GPU")
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sphmask\[spconv\]'"):
        spconv_engine.build_levels(torch.zeros(1, 4, dtype=torch.int32, device="meta"), 1)
