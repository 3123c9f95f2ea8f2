# SPDX-License-Identifier: Apache-2.0
"""Ids of things that move, three frames a second; things at rest hand theirs to nobody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core import Instances
from sphmask_core.tracking import Tracker

RATE = 3.0
"""Frames a second."""
CAR, PERSON, CUP = ("car", (4.3, 1.8, 1.5)), ("person", (0.5, 0.5, 1.7)), ("object", (0.08, 0.08, 0.1))


def boxes(things):
    """A cloud (N, 3) of boxes full of points, and their instances; things: [((name, size), middle), ...]."""
    unit = np.random.default_rng(0).uniform(-0.5, 0.5, (800, 3))
    xyz = [unit * size + middle for (_, size), middle in things]
    names, count = [name for (name, _), _ in things], len(things)
    instances = Instances(
        segment_masks=np.eye(count, count + 1, dtype=bool),
        segments=np.repeat(np.arange(count), len(unit)),
        labels=np.repeat(np.arange(1, count + 1, dtype=np.int32), len(unit)),
        scores=np.ones(count, np.float32),
        class_ids=np.array([["car", "person", "object"].index(name) for name in names], np.int32),
        class_names=tuple(names),
        centers=np.zeros((count, 3), np.float32),
        rays=np.ones((count, 25), np.float32),
        boxes=np.zeros((count, 6), np.float32),
        rotation=np.eye(3, dtype=np.float32),
        timings={},
    )
    return np.concatenate([np.empty((0, 3)), *xyz]).astype(np.float32), instances


def ids_of_motion(things, voxel_size, frames=10):
    """Ids (frames, I) of things that move steadily: [(kind, place, velocity), ...]."""
    tracker = Tracker(voxel_size)
    times = np.arange(frames) / RATE
    return [
        tracker.update(
            *boxes([(kind, np.add(x, np.multiply(v, t))) for kind, x, v in things]), t
        ).ids.tolist()
        for t in times
    ]


@pytest.mark.parametrize("speed", [5.0, 10.0, 14.0])
def test_two_cars_that_pass_each_other_keep_their_ids(speed):
    things = [(CAR, (-15, -1.8, 1), (speed, 0, 0)), (CAR, (15, 1.8, 1), (-speed, 0, 0))]
    assert ids_of_motion(things, 0.15) == [[1, 2]] * 10


def test_a_person_who_walks_past_one_who_stands_keeps_the_id():
    things = [(PERSON, (-3, 0, 1), (1.5, 0, 0)), (PERSON, (0, 1, 1), (0, 0, 0))]
    assert ids_of_motion(things, 0.04) == [[1, 2]] * 10


def test_a_car_is_followed_through_a_frame_in_which_it_is_not_found():
    tracker = Tracker(0.15)
    found = [tracker.update(*boxes([(CAR, (10 * t, 0, 1))]), t) for t in (0.0, 1 / 3, 2 / 3)]
    tracker.update(*boxes([]), 1.0)
    found.append(tracker.update(*boxes([(CAR, (40 / 3, 0, 1))]), 4 / 3))
    assert [tracks.ids.tolist() for tracks in found] == [[1]] * 4


@pytest.mark.parametrize("moves", [0.0, 10.0])
def test_a_car_that_is_called_a_person_in_between_keeps_its_id(moves):
    tracker = Tracker(0.15)
    for frame, name in enumerate(["car", "car", "person", "car"]):
        middle = (moves * frame / RATE, 0, 1)
        assert tracker.update(*boxes([((name, CAR[1]), middle)]), frame / RATE).ids.tolist() == [1]


def test_of_two_that_overlap_an_object_the_one_of_its_class_has_its_id():
    tracker = Tracker(0.15)
    tracker.update(*boxes([(CAR, (0, 0, 1))]), 0.0)
    two = [(("person", CAR[1]), (0.5, 0, 1)), (CAR, (-0.7, 0, 1))]
    assert tracker.update(*boxes(two), 1 / RATE).ids.tolist() == [2, 1]


def test_a_parked_car_is_known_again_though_what_passes_hid_one_end_and_then_the_other():
    tracker = Tracker(0.15)
    whole, rear, front = (
        (("car", (length, 1.8, 1.5)), (x, 0, 1)) for length, x in ((4.3, 0), (1.4, -1.45), (1.4, 1.45))
    )
    for frame, shown in enumerate([[whole], [rear], [], [front], [whole]]):
        ids = tracker.update(*boxes(shown), frame / RATE).ids.tolist()
        assert ids == [1] * len(shown)


def test_the_velocity_of_a_car_is_known_from_its_second_frame():
    tracker = Tracker(0.15)
    for t in (0.0, 1 / RATE):
        tracks = tracker.update(*boxes([(CAR, (10 * t, 0, 1))]), t)
    np.testing.assert_allclose(tracks.velocities, [(10, 0, 0)], atol=1e-3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((CAR, (0, 0, 1)), (CAR, (9, 0, 1))),  # 27 m/s
        ((PERSON, (0, 0, 1)), (PERSON, (1.5, 0, 1))),  # 4.5 m/s
        ((CAR, (0, 0, 1)), (("car", (1.5, 0.5, 0.5)), (3, 0, 1))),  # much smaller
        ((("car", (0.1, 0.05, 0.04)), (0, 0, 0)), (("car", (0.1, 0.05, 0.04)), (0.2, 0, 0))),  # toys
        ((CUP, (0, 0, 0)), (CUP, (0.15, 0, 0))),
    ],
)
def test_a_new_thing_has_a_new_id(first, second):
    tracker = Tracker(0.0075 if first[0][1][0] < 0.2 else 0.15)
    assert tracker.update(*boxes([first]), 0.0).ids.tolist() == [1]
    assert tracker.update(*boxes([second]), 1 / RATE).ids.tolist() == [2]


def test_a_parked_car_that_was_seen_twice_hands_its_id_to_no_neighbor():
    tracker = Tracker(0.15)
    for t in (0.0, 1 / RATE):
        assert tracker.update(*boxes([(CAR, (0, 0, 1))]), t).ids.tolist() == [1]
    assert tracker.update(*boxes([(CAR, (5.5, 0, 1))]), 2 / RATE).ids.tolist() == [2]


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from([CUP, PERSON, CAR]),
    frames=st.lists(st.sets(st.integers(0, 8)), min_size=2, max_size=6),
    seed=st.integers(0, 99),
)
def test_in_a_still_scene_no_id_moves_to_another_thing(kind, frames, seed):
    """Nine close together, seen in the first frame; then some are hidden, removed, or come back."""
    tracker, rng = Tracker(0.0075 if kind is CUP else 0.15), np.random.default_rng(seed)
    grid = np.stack([*np.indices((3, 3)).reshape(2, 9), np.zeros(9)], axis=1)
    places = grid * 1.15 * np.array(kind[1])
    for number, hidden in enumerate([set(), *frames]):
        shown = rng.permutation([i for i in range(9) if i not in hidden]).astype(int)
        if number == 0:
            shown = np.arange(9)
        jitter = rng.normal(scale=0.01, size=(len(shown), 3)) * kind[1]
        cloud = boxes([(kind, place) for place in places[shown] + jitter])
        assert tracker.update(*cloud, number / RATE).ids.tolist() == (shown + 1).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 8)), min_size=2, max_size=6))
def test_over_a_table_no_id_moves_to_what_was_uncovered(frames):
    """Not all are seen from the beginning: whatever comes, an id stays with its place."""
    tracker, places = Tracker(0.0075), {}
    for number, shown in enumerate(frames):
        spots = [(0.1 * (i % 3), 0.12 * (i // 3), 0.5) for i in sorted(shown)]
        tracks = tracker.update(*boxes([(CUP, spot) for spot in spots]), number / RATE)
        for identity, spot in zip(tracks.ids.tolist(), spots, strict=True):
            assert places.setdefault(identity, spot) == spot
