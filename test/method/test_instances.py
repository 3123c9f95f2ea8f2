# SPDX-License-Identifier: Apache-2.0
"""Selection of instances: thresholds, both kinds of NMS."""

from dataclasses import replace

import pytest
import torch

from sphmask_core.config import InferenceConfig
from sphmask_core.method.candidates import (
    Candidates,
    agreement,
    mask_iou,
    matrix_nms,
    score_queries,
    select,
    standard_nms,
)
from sphmask_core.method.query_heads import QueryPredictions


def candidates(masks, scores, classes):
    n = len(scores)
    masks = torch.tensor(masks, dtype=torch.bool)
    return Candidates(
        masks, torch.tensor(scores), torch.tensor(classes), torch.zeros(n, 3), torch.ones(n, 25)
    )


TWINS = candidates(
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0]], [0.9, 0.8, 0.7, 0.6], [0, 0, 0, 1]
)
COUNTS = torch.tensor([10, 10, 10, 10])


def test_iou_counts_voxels():
    half = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0]]).bool()
    iou = mask_iou(half, half, torch.tensor([10, 30, 20, 5]))
    torch.testing.assert_close(iou, torch.tensor([[1, 0.5], [0.5, 1]]))


def test_agreement_is_that_of_the_queries_inside():
    """Three queries of two objects, one with a mask of both, one with an empty mask."""
    masks = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0]]).bool()
    starts, scores = torch.tensor([0, 1, 2, 3, 3]), torch.tensor([1.0, 0.5, 1.0, 0.0, 0.0])
    share = agreement(masks, scores, starts, COUNTS)
    torch.testing.assert_close(share, torch.tensor([1, 1, 1, 0.5, 0]))


def queries_of(probabilities, confidence):
    """Predictions of one scene; the last column of the probabilities is "none"."""
    count = len(probabilities)
    return QueryPredictions(
        xyz=torch.zeros(1, count, 3),
        class_logits=torch.tensor(probabilities)[None].log(),
        confidence=torch.tensor(confidence)[None],
        boxes=torch.zeros(1, count, 6),
        centers=torch.zeros(1, count, 3),
        rays=torch.ones(1, count, 25),
        migration=[torch.zeros(count, 4)],
        active=[True],
    )


def test_a_query_stands_for_every_class_or_for_its_best():
    queries = queries_of([[0.5, 0.3, 0.2], [0.05, 0.15, 0.8]], [1.0, 4.0])
    masks = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0]]).bool()
    every = score_queries(queries, masks, 0)
    assert every.class_ids.tolist() == [0, 1, 0, 1] and len(every.masks) == 4
    torch.testing.assert_close(every.scores**2, torch.tensor([0.5, 0.3, 0.05, 0.15]))
    best, anything = (score_queries(queries, masks, 0, classes) for classes in ("best", "any"))
    assert best.class_ids.tolist() == anything.class_ids.tolist() == [0, 1]
    assert best.masks.tolist() == anything.masks.tolist() == masks.tolist()
    torch.testing.assert_close(best.scores**2, torch.tensor([0.5, 0.15]))
    torch.testing.assert_close(anything.scores**2, torch.tensor([0.8, 0.2]))


COPIES = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""IoU of the twins within their classes."""


def test_matrix_nms_lowers_the_copy_alone():
    scores = matrix_nms(TWINS.scores, COPIES, sigma=2.0)
    torch.testing.assert_close(scores, torch.tensor([0.9, 0.8 * 0.1353353, 0.7, 0.6]))


def test_standard_nms_drops_the_copy_alone():
    assert standard_nms(COPIES, 0.5).tolist() == [0, 2, 3]


@pytest.mark.parametrize(("classes", "kept"), [("every", [0, 2, 3]), ("best", [0, 2, 3]), ("any", [0, 2])])
def test_a_copy_of_another_class_is_one_where_scores_are_of_any(classes, kept):
    config = InferenceConfig(min_points=1, nms="standard", classes=classes)
    torch.testing.assert_close(select(TWINS, COUNTS, config).scores, TWINS.scores[kept])
    lowered = select(TWINS, COUNTS, replace(config, nms="matrix")).scores < TWINS.scores
    assert (~lowered).nonzero().squeeze(1).tolist() == kept


def test_small_masks_and_the_rest_beyond_the_top_are_dropped():
    config = InferenceConfig(min_points=15, max_instances=3, nms="standard")
    selected = select(
        candidates([[1, 0], [1, 1], [0, 1], [1, 1]], [0.4, 0.3, 0.2, 0.1], [0, 1, 2, 3]), COUNTS[:2], config
    )
    assert selected.class_ids.tolist() == [1]


def test_instances_of_few_voxels_are_less_sure():
    apart = candidates([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], [0.9, 0.8, 0.7], [0, 0, 0])
    for nms in ("matrix", "standard"):
        config = InferenceConfig(min_points=1, nms=nms, full_voxels=20)
        scores = select(apart, COUNTS, config).scores
        torch.testing.assert_close(scores, torch.tensor([0.9 / 2**0.3, 0.8, 0.7 / 2**0.3]))
        plain = select(apart, COUNTS, InferenceConfig(min_points=1, nms=nms)).scores
        torch.testing.assert_close(plain, apart.scores)


def test_nms_goes_by_the_scores_before_size_counts():
    """A part with a better score than its whole: the whole is the repeat, though it is larger."""
    nested = candidates([[1, 1, 1, 0], [1, 1, 1, 1]], [0.9, 0.8], [0, 0])
    config = InferenceConfig(min_points=1, nms="standard", nms_threshold=0.5, full_voxels=40)
    kept = select(nested, COUNTS, config)
    torch.testing.assert_close(kept.scores, torch.tensor([0.9 * 0.75**0.3]))
