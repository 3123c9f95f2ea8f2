# SPDX-License-Identifier: Apache-2.0
"""Supports: found in made scenes of every pose and kind, and on real tables; objects stay."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sphmask_core.clouds.scenes import read_scene
from sphmask_core.method.supports import find_supports
from sphmask_core.simulation.shapes import Box
from test.helpers.support_scenes import bin_of_boxes, camera, heap, see, shelves, solid, table

SEEDS = range(6)
ENOUGH_TABLE = 0.2
"""Square meters: of a table that hardly shows, nothing is left out (docs/model.md, section 1)."""
ANY_CLOUD = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 200), st.just(3)),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True) | st.floats(-1, 1, width=32),
)


def is_main(result, scene):
    """Whether the main support is the scene's z = 0, within a degree and 2 cm."""
    return bool(result.main.normal @ scene.up > 0.9998) and abs(result.main.offset - scene.height) < 0.02


def kinds(result):
    return [plane.kind for plane in result.planes]


@settings(max_examples=40, deadline=None)
@given(
    pitch=st.floats(25, 90),
    distance=st.floats(0.5, 1.3),
    roll=st.floats(-45, 45),
    yaw=st.floats(-180, 180),
    count=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_a_table_is_found_from_any_pose_and_its_objects_stay(pitch, distance, roll, yaw, count, seed):
    scene = table(np.random.default_rng(seed), camera(pitch, distance, roll, yaw), count=count, seed=seed)
    assume(scene.seen_area > ENOUGH_TABLE)
    result = find_supports(scene.xyz)
    assert is_main(result, scene)
    assert scene.kept_background(result.left_out) < 0.05
    lost = scene.lost(result.left_out)
    assert (lost < 0.2).sum() >= len(lost) / 2


@settings(max_examples=15, deadline=None)
@given(offset=st.floats(0.6, 2.0), tilt=st.floats(-40, 40), seed=st.integers(0, 1000))
def test_an_exact_plane_is_recovered_exactly(offset, tilt, seed):
    normal = np.array([0.0, np.sin(np.radians(tilt)), -np.cos(np.radians(tilt))])
    rays = np.random.default_rng(seed).uniform((-0.5, -0.4, 1), (0.5, 0.4, 1), (20000, 3))
    xyz = (rays * (-offset / (rays @ normal))[:, None]).astype(np.float32)
    result = find_supports(xyz)
    assert result.main.normal @ normal > 1 - 1e-6
    assert result.main.offset == pytest.approx(offset, abs=1e-4)
    assert result.left_out.mean() > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_comes_before_a_larger_floor(seed):
    view = camera(45, 1.6, yaw=20 * seed)
    scene = table(np.random.default_rng(seed), view, 0.7, 0.5, floor=True, seed=seed)
    result = find_supports(scene.xyz)
    floor = result.planes[kinds(result).index("floor")]
    assert is_main(result, scene) and floor.share > 3 * result.main.share
    assert scene.kept_background(result.left_out) < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_comes_before_a_larger_wall(seed):
    scene = table(np.random.default_rng(seed), camera(22, 1.2), 0.9, 0.5, wall=True, seed=seed)
    result = find_supports(scene.xyz)
    wall = result.planes[kinds(result).index("wall")]
    assert is_main(result, scene) and wall.share > result.main.share
    assert scene.kept_background(result.left_out) < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_two_shelves_and_the_wall_behind_are_left_out_and_objects_stay(seed):
    scene = shelves(np.random.default_rng(seed), camera(35, 1.2, target=(0, 0.1, 0.2)), seed=seed)
    result = find_supports(scene.xyz)
    assert result.main.normal @ scene.up > 0.999  # either board
    assert min(abs(result.main.offset - scene.height), abs(result.main.offset - scene.height + 0.4)) < 0.02
    assert "wall" in kinds(result)
    assert scene.kept_background(result.left_out) < 0.25
    assert scene.lost(result.left_out).max() < 0.25


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize("pitch", [70, 90])
@pytest.mark.parametrize("seed", SEEDS)
def test_bottom_and_sides_of_a_bin(seed, pitch, around):
    scene = bin_of_boxes(np.random.default_rng(seed), camera(pitch, 0.8), around=around, seed=seed)
    result = find_supports(scene.xyz)
    assert is_main(result, scene)
    assert kinds(result).count("wall") >= 2
    assert scene.kept_background(result.left_out) < 0.3
    assert scene.lost(result.left_out).max() < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_the_top_of_a_large_carton_is_no_support(seed):
    things = [
        solid(Box(0.4, 0.3, 0.3), yaw=seed),
        solid(Box(0.08, 0.12, 0.05), z=0.3),
        solid(Box(0.1, 0.1, 0.1), 0.45),
    ]
    scene = table(None, camera(50, 1.3, yaw=30 * seed), objects=things, seed=seed)
    result = find_supports(scene.xyz)
    assert is_main(result, scene) and kinds(result) == ["main"]
    assert scene.lost(result.left_out)[0] < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_heap_of_round_things_has_no_support(seed):
    assert not find_supports(heap(np.random.default_rng(seed), camera(60, 1.0), seed=seed).xyz).left_out.any()


@pytest.mark.parametrize("pitch", [20, 50, 80])
def test_a_carton_alone_is_looked_at(pitch):
    scene = see([], [solid(Box(0.4, 0.3, 0.25), yaw=0.5)], camera(pitch, 0.9))
    assert not find_supports(scene.xyz).left_out.any()


@pytest.mark.parametrize("thickness", [0.006, 0.01, 0.02])
def test_flat_things_stay_though_each_point_may_be_noise(thickness):
    things = [solid(Box(0.2, 0.15, thickness), x, y) for x, y in ((-0.3, 0.0), (0.1, 0.1), (0.3, -0.1))]
    scene = table(None, camera(55, 0.9, size=(480, 360)), objects=things, noise=0.0015)
    result = find_supports(scene.xyz)
    assert scene.lost(result.left_out).max() < 0.2
    assert scene.kept_background(result.left_out) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_a_plane_that_the_camera_bends_is_followed(seed):
    scene = table(np.random.default_rng(seed), camera(50, 1.0), noise=0.0005, bend=0.01, seed=seed)
    result = find_supports(scene.xyz)
    assert scene.kept_background(result.left_out) < 0.1
    assert np.median(scene.lost(result.left_out)) < 0.1


def test_the_vertical_decides_where_it_is_given():
    scene = table(np.random.default_rng(0), camera(15, 1.2), 0.9, 0.5, count=3, wall=True)
    up = tuple(scene.up.tolist())
    assert is_main(find_supports(scene.xyz, vertical=up), scene)
    sideways = find_supports(scene.xyz, vertical=(1.0, 0.0, 0.0))
    assert sideways.main is None and not sideways.left_out.any()


def test_rows_in_another_order_are_another_cloud_of_the_same_table():
    scene = table(np.random.default_rng(3), camera(45, 1.0), seed=3)
    order = np.random.default_rng(0).permutation(len(scene.xyz))
    result, mixed = find_supports(scene.xyz), find_supports(scene.xyz[order])
    assert mixed.main.normal @ result.main.normal > 0.9999
    assert (mixed.left_out == result.left_out[order]).mean() > 0.995


def test_the_same_cloud_gives_the_same_supports_with_any_number_of_threads():
    scene = table(np.random.default_rng(3), camera(45, 1.0), wall=True, floor=True, seed=3)
    first, again = find_supports(scene.xyz, threads=1), find_supports(scene.xyz, threads=3)
    assert np.array_equal(first.left_out, again.left_out)
    assert kinds(first) == kinds(again) and np.array_equal(first.main.normal, again.main.normal)


@settings(max_examples=200, deadline=None)
@given(ANY_CLOUD)
def test_any_cloud_is_survived(xyz):
    result = find_supports(xyz)
    assert result.left_out.shape == (len(xyz),) and result.left_out.dtype == bool
    assert not result.left_out[~np.isfinite(xyz).all(axis=1)].any()


@pytest.mark.parametrize(
    "xyz",
    [
        np.zeros((0, 3), np.float32),
        np.ones((1, 3), np.float32),
        np.ones((5000, 3), np.float32),
        np.full((5000, 3), np.nan, np.float32),
        np.linspace(0, 1, 5000, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32),
    ],
    ids=["none", "one point", "one place", "no depth", "a line"],
)
def test_clouds_without_any_plane_have_no_support(xyz):
    result = find_supports(xyz)
    assert result.main is None and result.planes == () and not result.left_out.any()


@pytest.mark.parametrize("name", ["learn0", "learn22", "learn38", "learn39"])
def test_on_real_tables_nearly_all_of_the_table_goes_and_objects_stay(mosd, name):
    scene = read_scene(mosd / f"{name}.pcd")
    left_out = find_supports(scene.cloud.xyz).left_out
    finite = np.isfinite(scene.cloud.xyz).all(axis=1)
    assert (~left_out)[finite & (scene.semantic == 0)].mean() < 0.01
    for number in np.unique(scene.instance[scene.instance >= 0]):
        assert left_out[scene.instance == number].mean() < 0.1
