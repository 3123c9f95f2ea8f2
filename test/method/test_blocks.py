# SPDX-License-Identifier: Apache-2.0
"""Blocks against one piece: a perfect network gives every object once, whole, wherever the borders are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.config import Config, InferenceConfig
from sphmask_core.method import blocks
from sphmask_core.method.blocks import MARGIN, TRUSTED, make_tiles
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.model import no_stage
from sphmask_core.method.voxels import VoxelBatch
from sphmask_core.segmenter import Segmenter
from sphmask_core.simulation.scenes import simulate_cloud

CLASSES = ("table", "object", "wall")
SIDE = 420
SUPERPOINT = 9  # voxels along the edge of a superpoint
NUM_RAYS = 25


def config(budget, **inference):
    return Config(
        semantic_classes=CLASSES,
        instance_classes=CLASSES[1:],
        inference=InferenceConfig(block_voxels=budget, **inference),
    )


def find_in_cloud(find, voxels, config):
    return blocks.find_in_cloud(find, voxels, config, no_stage)


def scene(rectangles):
    """Voxels of a flat world: (x, y, width, height) each an object, later ones on top, on a sparse floor.

    The number of its object, 0 for the floor, is a voxel's first feature. Superpoints are squares of one
    object.
    """
    image = np.full((SIDE, SIDE), -1)
    image[::7, ::7] = 0
    for number, (x, y, width, height) in enumerate(rectangles, 1):
        image[x : x + width, y : y + height] = number
    xy = np.argwhere(image >= 0)
    number = image[tuple(xy.T)]
    key = (number * SIDE + xy[:, 0] // SUPERPOINT) * SIDE + xy[:, 1] // SUPERPOINT
    superpoints = torch.unique(torch.from_numpy(key), return_inverse=True)[1]
    coords = torch.zeros(len(xy), 4, dtype=torch.int32)
    coords[:, 1:3] = torch.from_numpy(xy)
    xyz = coords[:, 1:].float() / 50 - 3
    features = torch.cat([torch.from_numpy(number)[:, None].float().repeat(1, 3), xyz], dim=1)
    offsets = [0, int(superpoints.max()) + 1]
    return VoxelBatch(coords, xyz, features, torch.arange(len(xy)), superpoints, offsets)


def numbers_of(voxels):
    return voxels.features[:, 0].long()


def perfect(voxels, seen=lambda number, count: True):
    """What a network without error would say of some voxels; `seen` may leave objects out."""
    number = numbers_of(voxels)
    objects = [i for i in number.unique().tolist() if i > 0 and seen(i, int((number == i).sum()))]
    masks = torch.zeros(len(objects), voxels.superpoint_offsets[-1], dtype=torch.bool)
    for mask, i in zip(masks, objects, strict=True):
        mask[voxels.superpoints[number == i]] = True
    centers = [voxels.xyz[number == i].mean(0) for i in objects]
    return Candidates(
        masks,
        torch.full((len(objects),), 0.5),
        torch.tensor([i % 2 for i in objects], dtype=torch.int64),
        torch.stack(centers) if centers else torch.zeros(0, 3),
        torch.ones(len(objects), NUM_RAYS),
    )


def assert_same_as_one_piece(voxels, candidates, segments):
    """Every object once, with all its voxels and nothing else."""
    number = numbers_of(voxels)
    expected = {i: set((number == i).nonzero().squeeze(1).tolist()) for i in number.unique().tolist() if i}
    got = [frozenset(mask[segments].nonzero().squeeze(1).tolist()) for mask in candidates.masks]
    assert sorted(map(sorted, got)) == sorted(map(sorted, expected.values()))
    for mask, class_id, center in zip(
        candidates.masks, candidates.class_ids, candidates.centers, strict=True
    ):
        inside = mask[segments]
        assert int(number[inside][0]) % 2 == int(class_id)
        torch.testing.assert_close(center, voxels.xyz[inside].mean(0), atol=0.2, rtol=0)


corner = st.integers(0, SIDE - 10)
small = st.tuples(corner, corner, st.integers(4, MARGIN), st.integers(4, MARGIN))
long = st.tuples(corner, corner, st.integers(5, 8), st.integers(5, SIDE))
rectangles = st.lists(st.one_of(small, long, long.map(lambda r: (r[1], r[0], r[3], r[2]))), max_size=8)


@settings(max_examples=40, deadline=None)
@given(rectangles=rectangles, budget=st.integers(1000, 20000))
def test_no_object_is_cut_or_doubled(rectangles, budget):
    voxels = scene(rectangles)
    candidates, segments = find_in_cloud(perfect, voxels, config(budget))
    assert_same_as_one_piece(voxels, candidates, segments)


@settings(max_examples=30, deadline=None)
@given(objects=st.lists(small, max_size=8), budget=st.integers(1000, 20000))
def test_an_object_no_longer_than_the_margin_is_whole_in_the_block_that_counts(objects, budget):
    """Even of a network that finds nothing but whole objects nothing is lost."""
    voxels = scene(objects)
    size = torch.bincount(numbers_of(voxels))
    candidates, segments = find_in_cloud(
        lambda block: perfect(block, lambda i, count: count == size[i]), voxels, config(budget)
    )
    assert_same_as_one_piece(voxels, candidates, segments)


@settings(max_examples=40, deadline=None)
@given(rectangles=rectangles, budget=st.integers(1000, 20000))
def test_tiles_share_out_all_voxels_within_the_budget(rectangles, budget):
    xy = scene(rectangles).coords[:, 1:3].numpy()
    tiles = make_tiles(xy, budget)
    assert (np.sum([tile.holds(xy) for tile in tiles], axis=0) == 1).all()
    for tile in tiles:
        narrow = max(np.subtract(tile.high, tile.low)) < 2 * MARGIN
        assert narrow or tile.holds(xy, MARGIN).sum() <= budget


def test_a_small_cloud_is_segmented_in_one_piece():
    voxels = scene([(0, 0, 30, 30)])
    candidates, segments = find_in_cloud(perfect, voxels, config(10**6))
    assert segments is voxels.superpoints
    assert torch.equal(candidates.masks, perfect(voxels).masks)


def test_a_large_cloud_with_nothing_in_it():
    voxels = scene([])
    candidates, segments = find_in_cloud(perfect, voxels, config(500))
    assert (
        len(candidates) == 0 and candidates.masks.shape == (0, 1) and segments.shape == (len(voxels.coords),)
    )


def test_a_wrong_answer_near_the_border_of_a_block_does_not_count():
    """Every block adds what touches its border to its first object; the neighbors know better."""
    voxels = scene([(20 * i, 20 * j, 18, 18) for i in range(21) for j in range(21)])
    low, high = voxels.xyz.amin(0), voxels.xyz.amax(0)

    def wrong_at_border(block):
        candidates = perfect(block)
        shift = voxels.xyz[(voxels.coords == block.coords[0]).all(1)] - block.xyz[0]
        inner = [(block.xyz.amin(0) + shift > low + 0.1), (block.xyz.amax(0) + shift < high - 0.1)]
        near = torch.zeros(len(block.coords), dtype=torch.bool)
        for axis in (0, 1):
            x = block.xyz[:, axis]
            near |= (x < x.min() + 0.1) & inner[0][0, axis] | (x > x.max() - 0.1) & inner[1][0, axis]
        candidates.masks[0, block.superpoints[near]] = True
        return candidates

    candidates, segments = find_in_cloud(wrong_at_border, voxels, config(20000))
    assert_same_as_one_piece(voxels, candidates, segments)


def test_a_voxel_follows_the_block_in_whose_tile_it_lies():
    """Outside their own tiles blocks take a small object for a part of the large one beside it."""
    voxels = scene([(100, 100, 90, 45), (120, 146, 9, 9), (150, 146, 9, 9)])
    xy = voxels.coords[:, 1:3].numpy()
    tiles = make_tiles(xy, 3000)
    wrong = 0

    def wrong_outside(block):
        nonlocal wrong
        candidates = perfect(block)
        own = block.coords[:, 1:3].numpy()
        tile = next(t for t in tiles if t.holds(xy, MARGIN).sum() == t.holds(own, MARGIN).sum() == len(own))
        inside = torch.from_numpy(tile.holds(own))
        small = torch.zeros(candidates.masks.shape[1], dtype=torch.bool)
        small[block.superpoints[numbers_of(block) > 1]] = True
        small[block.superpoints[inside]] = False
        if (numbers_of(block) == 1).any():
            candidates.masks[0] |= small
            wrong += int(small.sum())
        return candidates

    candidates, segments = find_in_cloud(wrong_outside, voxels, config(3000))
    assert wrong > 0
    assert_same_as_one_piece(voxels, candidates, segments)


def test_a_mask_that_the_owner_of_its_voxels_does_not_confirm_is_dropped():
    """One block sees an object cut, none of it in its own tile; the others see it whole."""
    voxels = scene([(130, 100, 70, 20)])
    xy, inside = voxels.coords[:, 1:3].numpy(), numbers_of(voxels).numpy() == 1
    cut = [t for t in make_tiles(xy, 2500) if t.holds(xy[inside], TRUSTED).sum() not in (0, inside.sum())]
    cut = [tile for tile in cut if not tile.holds(xy[inside], MARGIN).all()]
    assert len(cut) == 1 and not cut[0].holds(xy[inside]).any()
    size = int(inside.sum())
    only_cut, _ = find_in_cloud(lambda b: perfect(b, lambda i, count: count < size), voxels, config(2500))
    only_whole, _ = find_in_cloud(lambda b: perfect(b, lambda i, count: count == size), voxels, config(2500))
    assert (len(only_cut), len(only_whole)) == (0, 1)


def test_the_segmenter_answers_a_large_cloud_in_blocks():
    """A simulated frame: instances that fit together, in the cloud's own frame."""
    cloud = simulate_cloud(3)
    segmenter = Segmenter.load("tabletop", "cpu")
    budget = InferenceConfig(block_voxels=3000, foreground_threshold=0.3, min_points=40)
    segmenter.model.config = replace(segmenter.config, inference=budget)
    followed = []

    def follow(blocks):
        for block in blocks:
            yield block
            followed.append((block, len(blocks)))

    instances = segmenter(cloud.xyz, cloud.rgb, follow=follow)
    assert "merge" in instances.timings and len(instances) > 0
    assert len(set(followed)) == len(followed) == followed[0][1] > 1
    assert not instances.labels[np.isnan(cloud.xyz).any(1)].any()
    assert (
        np.array_equal(instances.labels > 0, instances.masks.any(0))
        and (np.diff(instances.scores) <= 0).all()
    )
    for i, (box, center) in enumerate(zip(instances.boxes, instances.centers, strict=True)):
        xyz = cloud.xyz[instances.points(i)]
        np.testing.assert_allclose(box, [*xyz.min(0), *xyz.max(0)])
        assert len(xyz) == instances.sizes[i] >= 40
        assert np.linalg.norm(center - xyz.mean(0)) < 0.5


@pytest.mark.parametrize("source", ["simulated 7", "learn19", "learn34"])
def test_a_frame_in_blocks_has_the_objects_of_one_piece(request, source):
    if source.startswith("simulated"):
        cloud = simulate_cloud(int(source.split()[1]), 640, 480)
    else:
        cloud = read_cloud(request.getfixturevalue("mosd") / f"{source}.pcd")
    segmenter = Segmenter.load("tabletop", "cpu")
    whole = segmenter(cloud.xyz, cloud.rgb, min_score=0.5)
    budget = replace(segmenter.config.inference, block_voxels=1500)
    segmenter.model.config = replace(segmenter.config, inference=budget)
    parts = segmenter(cloud.xyz, cloud.rgb, min_score=0.5)
    assert "merge" in parts.timings and len(parts) == len(whole) > 1
    for mask in whole.masks:
        overlap = (parts.masks & mask).sum(1) / (parts.masks | mask).sum(1)
        assert overlap.max() > 0.9


def test_a_class_whose_semantic_mask_is_its_instance_stays_one():
    """Two ceilings that no block sees together."""
    voxels = scene([(0, 0, 30, 30), (380, 380, 30, 30)])
    one_class = lambda block: replace(perfect(block), class_ids=perfect(block).class_ids * 0 + 2)  # noqa: E731
    separate, _ = find_in_cloud(one_class, voxels, config(1000))
    whole, segments = find_in_cloud(one_class, voxels, config(1000, whole_classes=(0,)))
    assert (len(separate), len(whole)) == (2, 1)
    assert torch.equal(whole.masks[0][segments], numbers_of(voxels) > 0)
