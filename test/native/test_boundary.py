# SPDX-License-Identifier: Apache-2.0
"""The boundary to the C++ kernels: the table agrees with the header, and what does not fit is refused."""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core import native
from sphmask_core.config import SuperpointConfig
from sphmask_core.method.superpoints import compute_superpoints
from sphmask_core.native.boundary import Array
from sphmask_core.native.kernels import TABLE
from sphmask_core.sparse.cpu_engine import pack_panels
from sphmask_core.sparse.maps import TILE_ROWS, find_neighbors, pack

C_TYPES = {"int64_t": ctypes.c_int64, "float": ctypes.c_float, "double": ctypes.c_double}
C_ARRAYS = {
    "float": {torch.float32},
    "double": {torch.float64},
    "int32_t": {torch.int32},
    "int64_t": {torch.int64},
    "uint32_t": {torch.uint32},
    "uint8_t": {torch.uint8, torch.bool},
}


def prototypes():
    """Parameters of every C function of the header, as pairs of type and name."""
    header = (Path(native.__file__).parent / "kernels.h").read_text()
    matches = re.findall(r"const char\* sphmask_(\w+)\(([^)]*)\);", header)
    return {name: [part.strip().rsplit(" ", 1) for part in text.split(",")] for name, text in matches}


def test_the_table_names_every_function_of_the_header():
    assert set(prototypes()) == set(TABLE) and len(TABLE) > 20


@pytest.mark.parametrize("name", TABLE)
def test_the_table_is_the_header(name):
    signature, parameters = TABLE[name], prototypes()[name]
    assert len(parameters) == len(signature.c_types())
    for (c_type, _), ctype in zip(parameters, signature.c_types(), strict=True):
        if "*" not in c_type:
            assert C_TYPES[c_type] is ctype
    for (c_type, parameter), (argument, kind) in zip(parameters, signature.arguments.items(), strict=False):
        assert parameter == argument
        if isinstance(kind, Array):
            assert kind.dtype in C_ARRAYS[c_type.removeprefix("const ").removesuffix("*").strip()]
            assert kind.written == (not c_type.startswith("const "))


@pytest.mark.parametrize("name", TABLE)
def test_a_size_is_named_first_by_an_array_that_is_always_there(name):
    known = set()
    for kind in TABLE[name].arguments.values():
        if isinstance(kind, Array):
            named = {size for size in kind.shape if isinstance(size, str)}
            assert not kind.optional or named <= known
            known |= set(kind.shape)


def turn(**changed):
    """A call of a kernel, all arguments right but for those that are named."""
    arguments = {
        "points": torch.rand(5, 3),
        "rotation": torch.eye(3),
        "origin": torch.zeros(3),
        "turned": torch.empty(5, 3),
    }
    arguments |= changed
    native.turn(*arguments.values())
    return arguments["turned"]


def test_tensors_and_arrays_are_taken():
    points = torch.rand(5, 3)
    turn(points=points)
    turned = turn(points=points.numpy(), turned=np.empty((5, 3), np.float32))
    assert np.array_equal(turned, points.numpy())


WRONG_TYPES = {
    "of another type": torch.rand(5, 3, dtype=torch.float64),
    "of another type of NumPy": np.zeros((5, 3)),
    "not contiguous": torch.rand(3, 5).T,
    "not contiguous in NumPy": np.zeros((3, 5), np.float32).T,
    "in Fortran's order": np.zeros((5, 3), np.float32, order="F"),
    "of the other byte order": np.zeros((5, 3), ">f4"),
    "on another device": torch.empty(5, 3, device="meta"),
    "a list": [[0.0, 0.0, 0.0]] * 5,
    "missing": None,
    "a number": 3.0,
}


@pytest.mark.parametrize("points", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_arrays_of_the_wrong_kind_are_refused(points):
    with pytest.raises(TypeError, match=r"^turn: points must be a contiguous float32 array on the CPU, not "):
        turn(points=points)


@pytest.mark.parametrize("shape", [(5, 4), (5,), (5, 3, 1), (4, 3), ()])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"^turn: turned must have the shape \(n, 3\) with n = 5, not \("):
        turn(turned=torch.empty(shape))


def test_what_is_read_only_is_not_written_to():
    turned = np.frombuffer(bytes(60), np.float32).reshape(5, 3)
    with pytest.raises(TypeError, match="turned is written to"):
        turn(turned=turned)


def test_the_number_of_arguments_is_checked():
    with pytest.raises(TypeError, match="turn takes 4 arguments, not 1"):
        native.turn(torch.rand(5, 3))


STRANGE_NUMBERS = [float("nan"), float("inf"), -float("inf"), 1e300, -1e300, -1.0]


@pytest.mark.parametrize("scale", [*STRANGE_NUMBERS, 10**400, "1", None, torch.tensor(1.0), 1j])
def test_numbers_out_of_bounds_are_refused(scale):
    xyz, keys = torch.rand(5, 3), torch.empty(5, dtype=torch.int64)
    with pytest.raises((TypeError, ValueError), match=r"^voxel_keys: scale must be ") as caught:
        native.voxel_keys(xyz, keys, scale, 0, 100.0)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("scene", [-1, 512, 2**63, 2**64, 0.0, "0"])
def test_whole_numbers_out_of_bounds_are_refused(scene):
    xyz, keys = torch.rand(5, 3), torch.empty(5, dtype=torch.int64)
    with pytest.raises((TypeError, ValueError), match=r"^voxel_keys: scene must be "):
        native.voxel_keys(xyz, keys, 1.0, scene, 100.0)


def test_empty_arrays_are_taken():
    empty, none = torch.empty(0, 3), torch.empty(0, dtype=torch.int64)
    assert native.superpoints(empty.int(), empty, None, none, 0.1, 0.1, 0, 20, 8) == 0
    assert native.number_keys(none, none.clone(), none.clone()) == 0
    native.find_neighbors(none, torch.empty(27, 0, dtype=torch.int32))
    native.turn(empty, torch.eye(3), torch.zeros(3), empty.clone())
    native.ball_query(empty, empty, torch.empty(0, 4, dtype=torch.int64), 1.0)
    native.farthest_points(empty, none, None, 0)


@given(st.integers(-(2**63), 2**63 - 1).filter(lambda number: not 0 <= number < 4))
def test_segments_that_are_none_are_refused(strange):
    segments = torch.tensor([0, 3, strange])
    with pytest.raises(ValueError, match=r"^segment_mean: segments has a number that is not one of"):
        native.segment_mean(torch.rand(3, 2), segments, torch.empty(4, 2), torch.empty(4, dtype=torch.int64))
    rows = torch.arange(3)
    for numbers in ((rows, segments), (segments, rows)):
        with pytest.raises(ValueError, match=r"^segment_bounds: rows or segments has"):
            native.segment_bounds(torch.rand(4, 3), *numbers, torch.empty(4, 6))
        with pytest.raises(ValueError, match=r"^spread_segments: rows or segments has"):
            spread = torch.empty(4, dtype=torch.int64), torch.empty(4, dtype=torch.int32)
            native.spread_segments(*numbers, torch.zeros(4, dtype=torch.int32), *spread)
    with pytest.raises(ValueError, match=r"^pick_colors: rows has a number that is not one of"):
        native.pick_colors(torch.zeros(4, 3, dtype=torch.uint8), segments, torch.empty(3, 3), 127.5)


def convolve(pairs, source=None, target=None, starts=None):
    """A small convolution with changed pairs."""
    listed = [
        given if changed is None else changed
        for given, changed in zip(
            (pairs.starts, pairs.source, pairs.target), (starts, source, target), strict=True
        )
    ]
    packed, out = pack_panels(torch.rand(27, 8, 16)), torch.empty(2, 16)
    native.gather_convolve[torch.float32](
        *(torch.rand(2, 8), *listed, packed, out, None), *(None,) * 4, 0.0, TILE_ROWS
    )


def test_pairs_that_name_no_row_are_refused():
    pairs = find_neighbors(torch.tensor([[0, 1, 1, 1], [0, 1, 1, 2]], dtype=torch.int32)).pairs
    convolve(pairs)
    wrong = [
        {"source": pairs.source.clone().fill_(2)},
        {"source": pairs.source.clone().fill_(-1)},
        {"target": pairs.target.clone().fill_(2)},
        {"starts": pairs.starts.clone().fill_(-1)},
        {"starts": pairs.starts + 1},
        {"starts": pairs.starts.flip(0)},
        {"starts": pairs.starts[1:].clone()},
    ]
    for changed in wrong:
        with pytest.raises(ValueError, match="gather_convolve_f32: "):
            convolve(pairs, **changed)


def test_coordinates_that_have_no_key_are_refused():
    for coords in ([0, -1, 0, 0], [512, 0, 0, 0], [0, 0, 2**18, 0], [-(2**31), 2**31 - 1, 0, 0]):
        with pytest.raises(ValueError, match=r"^pack: a scene is not from 0 to 511 or a coordinate not from"):
            pack(torch.tensor([coords], dtype=torch.int32))


ANY_FLOAT = st.floats(width=64) | st.sampled_from([1e300, -1e300, 0.0, 0.1])
ANY_WHOLE = st.integers(-(2**70), 2**70) | st.integers(-1, 30)


def sheets():
    """Coords, points and colors of 200 voxels."""
    coords = torch.cartesian_prod(torch.arange(10), torch.arange(10), torch.arange(2)).int()
    return coords, 0.02 * coords.float(), torch.rand(len(coords), 3)


@settings(deadline=None, max_examples=200)
@given(st.tuples(ANY_FLOAT, ANY_FLOAT, ANY_FLOAT), ANY_WHOLE, ANY_WHOLE)
def test_superpoints_with_any_settings_are_refused_or_right(factors, least, neighbors):
    coords, xyz, rgb = sheets()
    labels = torch.empty(len(coords), dtype=torch.int64)
    try:
        native.superpoints(coords, xyz, rgb, labels, *factors, least, neighbors)
    except ValueError as error:
        assert re.fullmatch(r"superpoints: \w+ must be at (least|most) [^\n]{1,90}", str(error))
    else:
        assert labels.unique().tolist() == list(range(int(labels.max()) + 1))


@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_superpoints_of_strange_voxels_are_refused(strange):
    coords, xyz, rgb = sheets()
    for array, name in ((xyz, "xyz"), (rgb, "rgb")):
        before = array[7, 1].clone()
        array[7, 1] = strange
        with pytest.raises(ValueError, match=f"superpoints: {name} has a "):
            compute_superpoints(coords, xyz, SuperpointConfig(color=0.1), rgb)
        array[7, 1] = before
    coords[0, 0], coords[1, 0] = 2**31 - 1, -(2**31)
    with pytest.raises(ValueError, match="coords are more than"):
        compute_superpoints(coords, xyz, SuperpointConfig(), rgb)


def test_farthest_points_of_strange_points_are_refused():
    xyz = torch.rand(100, 3)
    xyz[50, 1] = float("nan")
    with pytest.raises(ValueError, match="farthest_points: xyz has a coordinate that is not finite"):
        native.farthest_points(xyz, torch.empty(10, dtype=torch.int64), None, 0)
