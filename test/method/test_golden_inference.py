# SPDX-License-Identifier: Apache-2.0
"""Agreement with the published implementation, stage by stage and end to end."""

import numpy as np
import pytest
import torch

from sphmask_core.method.candidates import assemble_masks
from sphmask_core.method.query_sampling import InferenceSampling
from sphmask_core.method.rounds import find_instances
from test.helpers.golden import RUNS, assert_close, assert_same_instances, open_run


@torch.inference_mode()
def test_backbone_by_plain_torch(golden):
    """What every engine's kernels are held against: no engine takes float64, plain torch does."""
    arrays, model, voxels = open_run(golden, "inference_single")
    features = model.backbone.double()(voxels.features.double(), voxels.coords)
    assert_close(features, arrays["voxel_feats"])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", RUNS)
@torch.inference_mode()
def test_stages_before_queries(golden, name):
    arrays, model, voxels = open_run(golden, name)
    assert np.array_equal(voxels.coords, arrays["voxel_coords"])
    assert np.array_equal(voxels.point_to_voxel, arrays["point_to_voxel"])
    assert np.array_equal(torch.bincount(voxels.point_to_voxel), arrays["voxel_count"])
    predictions = next(model.predict(voxels, InferenceSampling(model.config, RUNS[name][1])))
    encoding, seeds = predictions.encoding, predictions.seeds
    pointwise, superpoints = encoding.pointwise, encoding.superpoints
    assert_close(encoding.features, arrays["voxel_feats"])
    assert_close(pointwise.semantic_logits, arrays["voxel_semantic_logits"])
    assert_close(pointwise.center_offsets, arrays["voxel_center_offset"])
    assert_close(pointwise.corner_offsets, arrays["voxel_box_offset"])
    assert_close(pointwise.box_confidence, arrays["voxel_box_conf"])
    assert_close(superpoints.xyz, arrays["sp_coords"])
    assert_close(superpoints.features, arrays["sp_feats"])
    assert_close(superpoints.boxes, arrays["sp_boxes"])
    assert_close(superpoints.mask_features, arrays["mask_tower_out"][0].T)
    assert_close(seeds.xyz, arrays["agg1_coords"][0])
    assert_close(seeds.features, arrays["agg1_feats"][0].T)
    assert_close(seeds.boxes, arrays["agg1_boxes"][0])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", RUNS)
@torch.inference_mode()
def test_queries_of_every_round(golden, name):
    arrays, model, voxels = open_run(golden, name)
    strategy = RUNS[name][1]
    rounds = list(model.predict(voxels, InferenceSampling(model.config, strategy)))
    suffixes = [f".{i}" for i in range(3)] if name == "inference_iterative" else [""]
    assert len(rounds) == len(suffixes)
    for predictions, suffix in zip(rounds, suffixes, strict=True):
        queries = predictions.queries
        assert_close(queries.xyz[0], arrays["query_coords" + suffix][0])
        assert_close(queries.class_logits[0], arrays["class_logits" + suffix])
        assert_close(queries.confidence[0], arrays["confidence" + suffix])
        assert_close(queries.boxes[0], arrays["head_boxes" + suffix])
        centers = queries.centers[0]
        assert_close(torch.cat([queries.rays[0], centers], 1), arrays["rays_and_center" + suffix])
        assert_close(queries.migration[0], arrays["migration" + suffix])
        queries.centers = strategy.query_centers(queries.centers)
        masks = assemble_masks(queries, predictions.encoding.superpoints, 0, model.config.model.rays)
        assert np.array_equal(masks, arrays["sp_masks" + suffix].astype(bool))


@torch.inference_mode()
def test_second_aggregator(golden):
    arrays, model, voxels = open_run(golden, "inference_single")
    predictions = next(model.predict(voxels, InferenceSampling(model.config, RUNS["inference_single"][1])))
    assert np.array_equal(predictions.rows, arrays["query_indices"])
    queries = model.aggregator2(predictions.seeds, predictions.rows)
    assert_close(queries.features, arrays["query_feats"][0].T)
    assert_close(queries.boxes, arrays["query_boxes"][0])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", RUNS)
def test_points_to_instances(golden, name):
    arrays, model, voxels = open_run(golden, name)
    instances = find_instances(model, voxels, strategy=RUNS[name][1])
    points = voxels.superpoints[voxels.point_to_voxel]
    assert_same_instances(instances, points, arrays, model.config.inference.min_points)
