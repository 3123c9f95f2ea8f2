# SPDX-License-Identifier: Apache-2.0
"""S3DIS from its text files, with the defects that the real ones have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.clouds.prepared import map_table, read_manifest, scenes_of
from test.helpers import miniatures
from training.formats.source import FormatError
from training.formats.text import read_numbers
from training.prepare import main


@pytest.fixture
def raw(tmp_path):
    miniatures.write_s3dis(tmp_path / "raw")
    return tmp_path / "raw"


def prepare(raw):
    out = raw.parent / "out"
    arguments = ["s3dis", "--raw", str(raw), "--out", str(out), "--partial", "--jobs", "1"]
    return main(arguments), out


def test_points_are_matched_back_to_the_room(raw):
    """Annotations list points in another order, and leave some out: these take the nearest one's object."""
    status, out = prepare(raw)
    assert status == 0
    manifest = read_manifest(out)
    assert manifest.splits == ("Area_1", "Area_5") and len(manifest.semantic_classes) == 13
    table = map_table(out / "Area_1/Area_1_office_1.npy")
    scene = miniatures.write_s3dis_room(raw.parent / "again", "office_1")
    np.testing.assert_allclose(table.xyz + manifest.scenes[0].origin, scene.xyz, atol=6e-4)
    names = np.array(manifest.semantic_classes)[table.semantic]
    expected = np.array(["clutter" if item.label == "stairs" else item.label for item in scene.items])
    assert (names == expected[scene.item]).mean() > 0.999
    of_object = {frozenset(names[table.instance == number]) for number in np.unique(table.instance)}
    assert table.instance.min() == 0 and all(len(names) == 1 for names in of_object) and len(of_object) == 6


def test_areas_are_splits(raw):
    _, out = prepare(raw)
    manifest = read_manifest(out)
    assert [scene.name for scene in scenes_of(manifest, "val", 5)] == ["Area_5_hallway_6"]
    assert [scene.name for scene in scenes_of(manifest, "train", 5)] == ["Area_1_office_1"]
    assert [scene.name for scene in scenes_of(manifest, "val", 1)] == ["Area_1_office_1"]
    assert [scene.name for scene in scenes_of(manifest, "Area_1", 5)] == ["Area_1_office_1"]
    assert len(scenes_of(manifest, "all", 5)) == 2


def damage_byte(path, old, new):
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))


def test_damaged_bytes_are_repaired(raw):
    """The real files have 0x10 for '0', 0x16 for '6' and 0x00 for a space."""
    _, out = prepare(raw)
    whole = np.load(out / "Area_5/Area_5_hallway_6.npy")
    room = raw / "Area_5/hallway_6/hallway_6.txt"
    damage_byte(room, b"0", b"\x10")
    damage_byte(room, b"6", b"\x16")
    damage_byte(raw / "Area_5/hallway_6/Annotations/ceiling_1.txt", b" ", b"\x00")
    assert prepare(raw)[0] == 0
    np.testing.assert_array_equal(np.load(out / "Area_5/Area_5_hallway_6.npy"), whole)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=6), st.integers(0, 100))
def test_any_lost_bit_is_repaired(tmp_path_factory, numbers, place):
    """Any digit or space that lost bit 0x20."""
    path = tmp_path_factory.getbasetemp() / "numbers.txt"
    line = " ".join(map(str, numbers)).encode()
    place %= len(line)
    path.write_bytes(line[:place] + bytes([line[place] & ~0x20]) + line[place + 1 :] + b"\n")
    assert read_numbers(path, 6).tolist() == [numbers]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2 3 4 5 6\n1 2 3 4 5\n", "line 2 is not 6 numbers"),
        (b"1 2 3 4 5 6\n\n1 2 3 4 5 x\n", "line 3 is not 6 numbers"),
        (b"1 2 3 4 5 6\n1 2 3 4 5 \xff6\n", "line 2 is not 6 numbers"),
        (b"1 2 3 4 5 nan\n", "line 1 is not 6 numbers"),
        (b"1 2 3\n4 5 6\n", "line 1 is not 6 numbers"),
        (b" \n", "holds no points"),
    ],
)
def test_bad_lines_are_named(tmp_path, text, message):
    path = tmp_path / "wall_1.txt"
    path.write_bytes(text)
    with pytest.raises(FormatError, match=f"{path}: {message}"):
        read_numbers(path, 6)


def test_misnamed_room_file(raw):
    """Area_6/copyRoom_1 has copy_Room_1.txt."""
    folder = raw / "Area_1/office_1"
    (folder / "office_1.txt").rename(folder / "off_ice_1.txt")
    assert prepare(raw)[0] == 0


def test_missing_room_file(raw, capsys):
    (raw / "Area_1/office_1/office_1.txt").unlink()
    assert prepare(raw)[0] == 2
    assert "office_1.txt: missing; Area_1_office_1 needs it" in capsys.readouterr().err


def test_missing_annotations(raw, capsys):
    for path in (raw / "Area_1/office_1/Annotations").glob("*.txt"):
        path.unlink()
    assert prepare(raw)[0] == 2
    assert "Annotations: missing" in capsys.readouterr().err


def test_unknown_class(raw, capsys):
    folder = raw / "Area_1/office_1/Annotations"
    (folder / "chair_4.txt").rename(folder / "throne_4.txt")
    assert prepare(raw)[0] == 2
    assert "throne_4.txt: 'throne' is no class" in capsys.readouterr().err


def test_counts_are_checked(raw, capsys):
    assert main(["s3dis", "--raw", str(raw), "--out", str(raw.parent / "out")]) == 2
    assert "Area_1: 1 instead of 44, Area_2: 0 instead of 40" in capsys.readouterr().err
