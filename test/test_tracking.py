# SPDX-License-Identifier: Apache-2.0
"""Ids over frames: still objects keep theirs, new, lost and found ones are told apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sphmask_core import Instances
from sphmask_core.tracking import FOUND_AGAIN, KEPT, NEW, Tracker, Tracks

CELL = 0.0075  # meters; coarse voxels are then 3 cm


def blobs(centers, class_ids=None, noise=0.0, seed=0):
    """A cloud (N, 3) of balls of 6 cm and the instances that they are."""
    rng = np.random.default_rng(seed)
    ball = np.random.default_rng(1).normal(size=(600, 3))
    ball *= 0.06 / np.linalg.norm(ball, axis=1, keepdims=True)
    xyz = np.concatenate([np.empty((0, 3)), *[ball + center for center in centers]])
    xyz += noise * rng.normal(size=xyz.shape)
    count = len(centers)
    class_ids = np.zeros(count, np.int32) if class_ids is None else np.array(class_ids, np.int32)
    instances = Instances(
        segment_masks=np.eye(count, count + 1, dtype=bool),
        segments=np.repeat(np.arange(count), len(ball)),
        labels=np.repeat(np.arange(1, count + 1, dtype=np.int32), len(ball)),
        scores=np.ones(count, np.float32),
        class_ids=class_ids,
        class_names=("object",) * count,
        centers=np.array(centers, np.float32).reshape(-1, 3),
        rays=np.ones((count, 25), np.float32),
        boxes=np.zeros((count, 6), np.float32),
        rotation=np.eye(3, dtype=np.float32),
        timings={},
    )
    return xyz.astype(np.float32), instances


PLACES = [(0.0, 0.0, 1.0), (0.3, 0.0, 1.0), (0.0, 0.3, 1.2), (0.3, 0.3, 1.2)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.permutations(range(4)), min_size=1, max_size=5), st.integers(0, 99))
def test_still_objects_keep_their_ids_in_whatever_order_they_come(orders, seed):
    tracker = Tracker(CELL)
    first = tracker.update(*blobs(PLACES), now=0.0)
    assert first.ids.tolist() == [1, 2, 3, 4]
    assert first.states.tolist() == [NEW] * 4
    for frame, order in enumerate(orders, 1):
        cloud = blobs([PLACES[i] for i in order], noise=0.002, seed=seed + frame)
        tracks = tracker.update(*cloud, now=0.5 * frame)
        assert tracks.ids.tolist() == [i + 1 for i in order]
        assert tracks.states.tolist() == [KEPT] * 4
        assert not len(tracks.lost)


def test_tells_lost_new_and_found_again():
    tracker = Tracker(CELL)
    tracker.update(*blobs(PLACES[:2]), now=0.0)
    gone = tracker.update(*blobs([PLACES[1], PLACES[2]]), now=1.0)
    assert (gone.ids.tolist(), gone.states.tolist(), gone.lost.tolist()) == ([2, 3], [KEPT, NEW], [1])
    still_gone = tracker.update(*blobs([PLACES[2], PLACES[1]]), now=2.0)
    assert (still_gone.ids.tolist(), still_gone.lost.tolist()) == ([3, 2], [])
    back = tracker.update(*blobs(PLACES[:1]), now=3.0)
    assert (back.ids.tolist(), back.states.tolist(), back.lost.tolist()) == ([1], [FOUND_AGAIN], [2, 3])


def test_forgets_after_its_memory_and_never_uses_an_id_again():
    tracker = Tracker(CELL)
    tracker.update(*blobs(PLACES[:1]), now=0.0)
    tracker.update(*blobs([]), now=1.0)
    assert tracker.update(*blobs(PLACES[:1]), now=10.0).ids.tolist() == [1]
    tracker.update(*blobs([]), now=11.0)
    assert tracker.update(*blobs(PLACES[:1]), now=20.5).ids.tolist() == [2]


def test_a_clock_that_goes_back_or_stands_still_loses_nothing():
    tracker = Tracker(CELL)
    for now in (100.0, 100.0, 3.0, 3.1, 0.0):
        assert tracker.update(*blobs(PLACES), now=now).ids.tolist() == [1, 2, 3, 4]


def test_an_object_that_is_called_otherwise_keeps_its_id():
    tracker = Tracker(CELL)
    for frame, class_ids in enumerate([[0, 0], [1, 0], [0, 1]]):
        tracks = tracker.update(*blobs(PLACES[:2], class_ids), now=0.5 * frame)
        assert tracks.ids.tolist() == [1, 2]


def test_slow_objects_are_followed_and_fast_ones_are_new():
    tracker = Tracker(CELL)
    for step in range(10):
        assert tracker.update(*blobs([(0.02 * step, 0, 1)]), now=0.1 * step).ids.tolist() == [1]
    assert tracker.update(*blobs([(2.0, 0, 1)]), now=1.0).ids.tolist() == [2]


@pytest.mark.parametrize("given_pose", [True, False])
def test_a_moving_camera_needs_its_pose(given_pose):
    tracker = Tracker(CELL)
    ids = []
    for step in range(4):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("y", 20 * step, degrees=True).as_matrix()
        pose[:3, 3] = (0.3 * step, 0, 0.1)
        xyz, instances = blobs(PLACES, noise=0.001, seed=step)
        seen = (xyz - pose[:3, 3]) @ pose[:3, :3]
        tracks = tracker.update(seen.astype(np.float32), instances, 0.1 * step, pose if given_pose else None)
        ids.append(tracks.ids.tolist())
    assert (ids == [[1, 2, 3, 4]] * 4) == given_pose


def test_forget_starts_anew():
    tracker = Tracker(CELL)
    tracker.update(*blobs(PLACES), now=0.0)
    tracker.forget()
    tracks = tracker.update(*blobs(PLACES), now=0.1)
    assert (tracks.ids.tolist(), tracks.states.tolist()) == ([5, 6, 7, 8], [NEW] * 4)
    assert not len(tracks.lost)


def test_untracked_instances_are_numbered_by_score():
    tracks = Tracks.none(3)
    assert tracks.ids.tolist() == [1, 2, 3]
    assert tracks.of_points(np.array([0, 3, 1, 1])).tolist() == [0, 3, 1, 1]


@pytest.mark.parametrize("turning", [False, True])
def test_velocity_is_that_of_a_steady_motion_in_the_frame_at_rest(turning):
    """15 cm a second, seen from a camera that stands still or turns and moves; noise of 2 mm."""
    tracker, speed = Tracker(CELL), np.array([0.1, -0.1, 0.05])
    for step in range(30):
        pose = np.eye(4)
        if turning:
            pose[:3, :3] = Rotation.from_euler("z", 6 * step, degrees=True).as_matrix()
            pose[:3, 3] = (0.05 * step, 0, 0)
        xyz, instances = blobs(
            [np.array([0, 0, 1]) + 0.1 * step * speed, (0.5, 0.5, 1)], noise=0.002, seed=step
        )
        seen = ((xyz - pose[:3, 3]) @ pose[:3, :3]).astype(np.float32)
        tracks = tracker.update(seen, instances, 0.1 * step, pose)
    np.testing.assert_allclose(tracks.velocities, [speed, (0, 0, 0)], atol=0.01)
    np.testing.assert_allclose(tracks.ages, [2.9, 2.9], atol=1e-5)
    np.testing.assert_allclose(tracks.unseen, [0.1, 0.1], atol=1e-5)


def test_age_and_when_it_was_last_seen():
    tracker = Tracker(CELL)
    assert tracker.update(*blobs(PLACES[:2]), now=0.0).ages.tolist() == [0, 0]
    hidden = tracker.update(*blobs(PLACES[:1]), now=2.0)
    assert (hidden.remembered.tolist(), hidden.remembered_unseen.tolist()) == ([2], [2])
    back = tracker.update(*blobs(PLACES[:2]), now=3.0)
    assert (back.ages.tolist(), back.unseen.tolist()) == ([3, 3], [1, 3])
    assert not len(back.remembered)
    again = tracker.update(*blobs(PLACES[:2]), now=0.5)  # a bag played again
    assert (again.ages >= 0).all() and (again.unseen >= 0).all() and np.isfinite(again.velocities).all()
