# SPDX-License-Identifier: Apache-2.0
"""The log of a training run, also where it is damaged, and the learning curve that is drawn from it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from training import curve, log


def test_learning_curve(tmp_path, capsys):
    for epoch in range(3):
        scores = {} if epoch < 2 else {"AP": 0.5, "AP50": 0.7, "AP25": float("nan")}
        record = {"epoch": epoch, "seconds": 2.0, "waited": 0.1, "lr": 0.01, "dice": 0.5, "aux_dice": 1.0}
        log.append(tmp_path / "log.jsonl", record | scores)
    stage = tmp_path / "stage.jsonl"
    log.append(stage, {"epoch": 0, "seconds": 2.0, "waited": 0.1, "lr": 0.01, "point_semantic": 0.5})
    assert curve.main([str(stage), str(tmp_path)]) == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert curve.main([str(tmp_path), str(tmp_path / "nowhere")]) == 2
    assert "nothing is logged" in capsys.readouterr().err


def test_the_curve_of_a_run_that_ended_within_its_first_epoch(tmp_path):
    for step in (50, 100):
        log.append(tmp_path / "log.jsonl", {"epoch": 0, "step": step, "lr": 0.01, "point_semantic": 0.5})
    assert log.read(tmp_path / "log.jsonl") == []
    assert curve.main([str(tmp_path)]) == 0
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_log_keeps_small_numbers(tmp_path):
    log.append(tmp_path / "log.jsonl", {"epoch": 0, "seconds": 1.0, "lr": 2.2345678e-6, "dice": 1 / 3})
    (record,) = log.read(tmp_path / "log.jsonl")
    assert record["lr"] == 2.23457e-6 and record["dice"] == 0.333333


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40).filter(lambda raw: b"\n" not in raw), max_size=6), st.integers(0, 3))
def test_a_damaged_log_is_kept_as_far_as_it_can_be_read(tmp_path_factory, lines, epochs):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    good = [{"epoch": epoch, "seconds": 1.0, "dice": 0.5} for epoch in range(2)]
    good.append({"epoch": 2, "step": 9, "dice": 0.5})
    rows = [json.dumps(record).encode() for record in good]
    damaged = [*lines, b"[1]", b"3", b'{"epoch": "x"}', b'{"epoch": 1, "step": "x"}', b"[" * 100_000]
    path.write_bytes(b"\n".join([rows[0], *damaged, rows[1], rows[2], b'{"epoch": 1, "sec']))
    log.keep(path, epochs, 9)
    assert log.read(path) == good[: min(epochs, 2)] and log.read_steps(path) == good[2:]
