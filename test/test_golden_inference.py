# SPDX-License-Identifier: Apache-2.0
"""Agreement with the published implementation, stage by stage and end to end."""

import numpy as np
import pytest
import torch

from sphmask_core.checkpoint import load_state, read_published
from sphmask_core.config import from_dict
from sphmask_core.model import SphericalMask
from sphmask_core.voxels import Points, voxelize

CLASSES = [f"class{i}" for i in range(20)]


def golden_config(**inference):
    return from_dict(
        {
            "name": "golden",
            "semantic_classes": CLASSES,
            "instance_classes": CLASSES[2:],
            "voxel_size": 0.04,
            "model": {
                "channels": 16,
                "num_blocks": 4,
                "dec_dim": 32,
                "n_sample_pa1": 256,
                "n_queries": 64,
                "neighbor": 16,
                "radius_scale": 2.0,
                "voxel_scale": 25.0,
            },
            "inference": {"npoint_thresh": 20, **inference},
        }
    )


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def golden_model(golden, **inference):
    model = SphericalMask(golden_config(**inference)).eval()
    path = golden / "reference_small.pth"
    load_state(model, read_published(path), path)
    return model


def golden_points(arrays):
    return Points(*(torch.from_numpy(arrays[name]) for name in ("xyz", "rgb", "superpoint")))


def close(ours, published):
    np.testing.assert_allclose(ours.detach().numpy(), published, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("threads")
def test_stages_of_one_round(golden):
    arrays = np.load(golden / "inference_single.npz")
    model = golden_model(golden)
    voxels = voxelize([golden_points(arrays)], model.config.model.voxel_scale)
    assert np.array_equal(voxels.coords, arrays["voxel_coords"])
    assert np.array_equal(voxels.point_to_voxel, arrays["point_to_voxel"])
    with torch.no_grad():
        features = model.backbone(voxels.features, voxels.coords)
        pointwise = model.pointwise(features)
        close(features, arrays["voxel_feats"])
        close(pointwise.semantic_logits, arrays["voxel_semantic_logits"])
        close(pointwise.center_offsets, arrays["voxel_center_offset"])
        close(pointwise.corner_offsets, arrays["voxel_box_offset"])
        close(pointwise.box_confidence, arrays["voxel_box_conf"])
        superpoints = model.pool_superpoints(voxels, features, pointwise)
        close(superpoints.xyz, arrays["sp_coords"])
        close(superpoints.features, arrays["sp_feats"])
        close(superpoints.boxes, arrays["sp_boxes"])
        close(superpoints.mask_features, arrays["mask_tower_out"][0].T)
        foreground = model.find_foreground(voxels, pointwise)
        seeds, active = model.sample_seeds(voxels, features, pointwise, foreground)
        close(seeds.xyz, arrays["agg1_coords"][0])
        close(seeds.features, arrays["agg1_feats"][0].T)
        close(seeds.boxes, arrays["agg1_boxes"][0])
        from sphmask_core.sampler import sample_rows

        rows = sample_rows(seeds, 256, pass_origin=True)
        assert np.array_equal(rows, arrays["query_indices"])
        queries = model.aggregator2(seeds, rows)
        close(queries.xyz, arrays["query_coords"][0])
        close(queries.features, arrays["query_feats"][0].T)
        out = model.predict_queries(seeds, rows, superpoints, active)
        close(out.class_logits[0], arrays["class_logits"])
        close(out.confidence[0], arrays["confidence"])
        close(out.boxes[0], arrays["head_boxes"])
        close(torch.cat([out.rays, out.centers], 2)[0], arrays["rays_and_center"])
        close(out.migration[0], arrays["migration"])
