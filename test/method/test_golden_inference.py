# SPDX-License-Identifier: Apache-2.0
"""Agreement with the published implementation, stage by stage and end to end."""

import numpy as np
import pytest
import torch

from sphmask_core.checkpoints.weights import load_state, read_published
from sphmask_core.config import from_dict
from sphmask_core.method.aggregator import sample_rows
from sphmask_core.method.candidates import assemble_masks, masks_on_points
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.rounds import Strategy, find_instances, query_rounds
from sphmask_core.method.spherical import MIN_RAY
from sphmask_core.method.voxels import Points, voxelize
from sphmask_core.sparse import functional, modules

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
                "levels": 4,
                "query_dim": 32,
                "seeds": 256,
                "neighbors": 16,
                "radius_scale": 2.0,
                "voxel_scale": 25.0,
            },
            "inference": {"min_points": 20, **inference},
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


RUNS = {
    "inference_single": {"iterative_sampling": False},
    "inference_iterative": {"iterative_sampling": True},
    "inference_single_fixed_center": {"iterative_sampling": False},
}


class PublishedDefects(Strategy):
    """Where the published code departs from its paper (docs/model.md, section 13)."""

    def query_centers(self, centers):
        """Centers are clamped to positive coordinates, as rays are."""
        return centers.clamp(min=MIN_RAY)

    def seed_superpoints(self, seeds, voxels, foreground):
        """Numbers among the foreground voxels' superpoints alone, which then stand for other superpoints."""
        return torch.searchsorted(torch.unique(voxels.superpoints[foreground]), seeds.superpoints)


STRATEGIES = {
    "inference_single": PublishedDefects(),
    "inference_iterative": PublishedDefects(),
    "inference_single_fixed_center": Strategy(),
}


def open_run(golden, name):
    arrays = np.load(golden / f"{name}.npz")
    model = golden_model(golden, **RUNS[name])
    return arrays, model, voxelize([golden_points(arrays)], model.config.model.voxel_scale)


@torch.inference_mode()
def test_backbone_by_plain_torch(golden, monkeypatch):
    """What every engine's kernels are held against."""
    monkeypatch.setattr(functional, "_engine", lambda x: None)
    monkeypatch.setattr(modules, "_fuses", lambda x, norm=None: False)
    arrays, model, voxels = open_run(golden, "inference_single")
    close(model.backbone(voxels.features, voxels.coords), arrays["voxel_feats"])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", RUNS)
@torch.inference_mode()
def test_stages_before_queries(golden, name):
    arrays, model, voxels = open_run(golden, name)
    assert np.array_equal(voxels.coords, arrays["voxel_coords"])
    assert np.array_equal(voxels.point_to_voxel, arrays["point_to_voxel"])
    assert np.array_equal(torch.bincount(voxels.point_to_voxel), arrays["voxel_count"])
    encoding = model.encode(voxels)
    pointwise, superpoints = encoding.pointwise, encoding.superpoints
    seeds, _ = model.sample_seeds(voxels, encoding, encoding.foreground.nonzero().squeeze(1))
    close(encoding.features, arrays["voxel_feats"])
    close(pointwise.semantic_logits, arrays["voxel_semantic_logits"])
    close(pointwise.center_offsets, arrays["voxel_center_offset"])
    close(pointwise.corner_offsets, arrays["voxel_box_offset"])
    close(pointwise.box_confidence, arrays["voxel_box_conf"])
    close(superpoints.xyz, arrays["sp_coords"])
    close(superpoints.features, arrays["sp_feats"])
    close(superpoints.boxes, arrays["sp_boxes"])
    close(superpoints.mask_features, arrays["mask_tower_out"][0].T)
    close(seeds.xyz, arrays["agg1_coords"][0])
    close(seeds.features, arrays["agg1_feats"][0].T)
    close(seeds.boxes, arrays["agg1_boxes"][0])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", RUNS)
@torch.inference_mode()
def test_queries_of_every_round(golden, name):
    arrays, model, voxels = open_run(golden, name)
    encoding, strategy = model.encode(voxels), STRATEGIES[name]
    foreground = encoding.foreground.nonzero().squeeze(1)
    seeds, active = model.sample_seeds(voxels, encoding, foreground)
    seeds.superpoints = strategy.seed_superpoints(seeds, voxels, foreground)
    superpoints = encoding.superpoints
    rounds = list(query_rounds(model, seeds, active, superpoints, len(foreground)))
    suffixes = [f".{i}" for i in range(3)] if name == "inference_iterative" else [""]
    assert len(rounds) == len(suffixes)
    for (queries, _), suffix in zip(rounds, suffixes, strict=True):
        close(queries.xyz[0], arrays["query_coords" + suffix][0])
        close(queries.class_logits[0], arrays["class_logits" + suffix])
        close(queries.confidence[0], arrays["confidence" + suffix])
        close(queries.boxes[0], arrays["head_boxes" + suffix])
        centers = queries.centers[0]
        close(torch.cat([queries.rays[0], centers], 1), arrays["rays_and_center" + suffix])
        close(queries.migration[0], arrays["migration" + suffix])
        queries.centers = strategy.query_centers(queries.centers)
        masks = assemble_masks(queries, superpoints, 0, model.config.model.rays)
        assert np.array_equal(masks, arrays["sp_masks" + suffix].astype(bool))


@torch.inference_mode()
def test_second_aggregator(golden):
    arrays, model, voxels = open_run(golden, "inference_single")
    encoding = model.encode(voxels)
    seeds, _ = model.sample_seeds(voxels, encoding, encoding.foreground.nonzero().squeeze(1))
    rows = sample_rows(seeds, 256, pass_origin=True)
    assert np.array_equal(rows, arrays["query_indices"])
    queries = model.aggregator2(seeds, rows)
    close(queries.features, arrays["query_feats"][0].T)
    close(queries.boxes, arrays["query_boxes"][0])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", RUNS)
def test_points_to_instances(golden, name):
    arrays, model, voxels = open_run(golden, name)
    found = find_instances(model, voxels, strategy=STRATEGIES[name])
    points = voxels.superpoints[voxels.point_to_voxel]
    masks = masks_on_points(found.masks, points, vote=torch.from_numpy(arrays["superpoint"]))
    large = masks.sum(1) >= model.config.inference.min_points
    ours = in_order(found.class_ids[large] + 1, found.scores[large], masks[large])
    published = np.unpackbits(arrays["inst_mask"], axis=1)[:, : len(arrays["xyz"])].astype(bool)
    published = in_order(arrays["inst_label"], arrays["inst_score"], published)
    assert np.array_equal(ours[0], published[0])
    np.testing.assert_allclose(ours[1], published[1], rtol=1e-4, atol=1e-4)
    assert np.array_equal(ours[2], published[2])


def in_order(labels, scores, masks):
    """By class, mask and score: the published order is that of an unsorted top k."""
    masks = np.asarray(masks)
    order = np.lexsort([scores, masks @ np.arange(masks.shape[1]), labels])
    return np.asarray(labels)[order], np.asarray(scores)[order], masks[order]
