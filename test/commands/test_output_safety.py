# SPDX-License-Identifier: Apache-2.0
"""No command writes over what it reads, or leaves anything behind, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sphmask_core
from sphmask_core.clouds.cloud import write_ply
from sphmask_core.commands import cli
from sphmask_core.simulation.scenes import simulate_cloud

ROOT = Path(sphmask_core.__file__).parents[1]
BYTES_NOT_UTF8 = b"caf\xe9.ply"


@pytest.fixture(scope="module")
def table():
    return simulate_cloud(0, 80, 60)


@pytest.fixture
def clouds(tmp_path, table):
    """A folder with one cloud."""
    folder = tmp_path / "clouds"
    folder.mkdir()
    write_ply(folder / "table.ply", table, {})
    return folder


def segment(weights, *arguments):
    return cli.main(["segment", *map(str, arguments), "--model", str(weights)])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", [".ply", ".npz"])
def test_results_do_not_lie_among_the_clouds(clouds, table, weights, capsys, suffix):
    if suffix == ".npz":
        (clouds / "table.ply").unlink()
        np.savez(clouds / "table.npz", xyz=table.xyz)
    before = contents(clouds)
    assert segment(weights, clouds / f"table{suffix}", "-o", clouds) == 2
    assert segment(weights, clouds, "-o", clouds.parent / "clouds" / "." / ".." / "clouds") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 2 and error.count("is the folder of the clouds; give") == 2
    assert contents(clouds) == before


def test_results_in_a_folder_are_no_clouds(tmp_path, clouds, weights, capsys):
    """A folder of results alone is refused, one that has clouds too is segmented without the results."""
    results = tmp_path / "results"
    assert segment(weights, clouds, "-o", results) == 0
    before = contents(results)
    assert segment(weights, results, "-o", tmp_path / "again") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"has results and no other clouds; `sphmask view {results}`" in error
    assert contents(results) == before and not (tmp_path / "again").exists()
    (clouds / "table.ply").rename(results / "other.ply")
    assert segment(weights, results, "-o", tmp_path / "again") == 0
    assert f"{results}: left out 1 result of sphmask segment" in capsys.readouterr().err
    assert {path.stem for path in (tmp_path / "again").iterdir()} == {"other"}


def test_a_link_to_the_folder_of_the_clouds_is_that_folder(clouds, weights, capsys):
    before = contents(clouds)
    link = clouds.parent / "link"
    link.symlink_to(clouds)
    assert segment(weights, clouds / "table.ply", "-o", link) == 2
    assert "is the folder of the clouds" in capsys.readouterr().err and contents(clouds) == before


@pytest.mark.parametrize("join", [os.symlink, os.link])
def test_a_cloud_elsewhere_that_is_a_result_by_another_name_stays(tmp_path, clouds, weights, capsys, join):
    """The path given is a link in another folder to out/table.ply, which is where the result would go."""
    out = tmp_path / "out"
    out.mkdir()
    (clouds / "table.ply").rename(out / "table.ply")
    join(out / "table.ply", clouds / "table.ply")
    before = contents(out)
    assert segment(weights, clouds / "table.ply", "-o", out) == 2
    assert "itself; give results another folder" in capsys.readouterr().err and contents(out) == before


def test_what_a_killed_run_left_is_removed_and_never_taken_for_a_cloud(tmp_path, clouds, weights, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path / "out"
    out.mkdir()
    leftover, running = (out / f".table.{process}.partial.npz" for process in (ended.pid, os.getppid()))
    others = [out / f".table.1.{ended.pid}.partial.npz", out / ".table.npz", running]
    for path in (leftover, *others, clouds / f".table.{ended.pid}.partial.ply"):
        path.write_bytes(b"half")
    assert segment(weights, clouds, "-o", out) == 0
    assert not leftover.exists() and all(path.read_bytes() == b"half" for path in others)
    assert {path.name for path in out.iterdir()} - {path.name for path in others} == {
        f"table.{kind}" for kind in ("json", "npz", "ply")
    }
    assert capsys.readouterr().err == ""


def test_a_result_path_that_is_a_folder(tmp_path, clouds, weights, capsys):
    (tmp_path / "out" / "table.npz").mkdir(parents=True)
    assert segment(weights, clouds, "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "table.npz: is a folder, where a file is to be written" in error and error.count("\n") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["table.npz"]


def run(*arguments, code="", **options):
    """The command in a process of its own, of this checkout; `code` runs before it."""
    program = f"import sys\n{code}\nfrom sphmask_core.commands.program import main\nsys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", program, *map(os.fspath, arguments)], cwd=ROOT, **options)


def test_names_that_are_not_utf8(tmp_path, clouds, weights):
    """Two of three clouds have a name that cannot be printed as it is; all are segmented."""
    name = Path(os.fsdecode(BYTES_NOT_UTF8))
    (clouds / name).write_bytes((clouds / "table.ply").read_bytes())
    (clouds / f"b{name}").write_bytes(b"no cloud")
    process = run(
        *("segment", clouds, "-o", tmp_path / "out", "--model", weights),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    printed, error = process.communicate(timeout=300)
    assert process.returncode == 2 and error.count(b"\n") == 1, error
    assert b"caf\\udce9.ply: 4800 points" in printed and b"3 clouds: 2 segmented" in printed
    assert (tmp_path / "out" / name).is_file()


INTERRUPTED_BY_TORCH = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell's background job would ignore
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
"""


def test_interrupted_while_torch_is_loaded():
    """Nothing is printed, and the status is that of an interrupted process."""
    process = run(
        "info", "tabletop", code=INTERRUPTED_BY_TORCH, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.communicate(timeout=300) == (b"", b"") and process.returncode == -signal.SIGINT


@pytest.mark.parametrize("closed", ["2>&-", "1>&- 2>&-", "2>/dev/full"])
def test_closed_streams(tmp_path, clouds, weights, closed):
    """A bad cloud cannot be reported; the good one is segmented, and our files hold nothing printed."""
    (clouds / "bad.ply").write_bytes(b"no cloud")
    out = tmp_path / "out"
    arguments = ["segment", clouds, "-o", out, "--model", weights]
    program = "import sys; from sphmask_core.commands.program import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    shell = ["bash", "-c", f'"$@" {closed}', "bash", *command]
    assert subprocess.run(shell, cwd=ROOT, timeout=300, stdout=subprocess.DEVNULL).returncode == 2
    assert sorted(path.name for path in out.iterdir()) == [f"table.{kind}" for kind in ("json", "npz", "ply")]
    assert (out / "table.ply").read_bytes().startswith(b"ply")
    assert not any(b"sphmask:" in data for data in contents(out).values())


SLOW_WRITER = """
import signal
import time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from sphmask_core.commands import results
def write_slowly(path, *_):
    path.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(300)
results._write_points = write_slowly
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_nothing_behind(tmp_path, clouds, weights, number):
    out = tmp_path / "out"
    process = run(
        "segment", clouds, "-o", out, "--model", weights, code=SLOW_WRITER, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n" and any(out.iterdir())
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert list(out.iterdir()) == []


def test_a_killed_run_is_cleaned_up_after_by_the_next(tmp_path, clouds, weights):
    out = tmp_path / "out"
    process = run(
        "segment", clouds, "-o", out, "--model", weights, code=SLOW_WRITER, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.wait(60)
    assert any(path.name.startswith(".table.") for path in out.iterdir())
    assert segment(weights, clouds, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == [f"table.{kind}" for kind in ("json", "npz", "ply")]


def test_predictions_of_others_are_not_deleted(tmp_path, weights, capsys):
    """`eval -o DIR` begins with an empty DIR/predictions; files there that it has not written stay."""
    from sphmask_core.commands.predictions import PredictionFolder

    (tmp_path / "mine.npz").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"mine\.npz, which no evaluation wrote"):
        PredictionFolder(tmp_path).open({"model": "small"}, resume=False)
    assert (tmp_path / "mine.npz").read_bytes() == b"mine"


def test_pictures_are_png(weights, capsys):
    assert cli.main(["eval", "--root", "x", "--picture", "frames/learn4.pcd", "--model", str(weights)]) == 2
    assert "learn4.pcd: pictures are PNG" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"sphmask {sphmask_core.__version__}\n"
    assert f"<version>{sphmask_core.__version__}</version>" in (ROOT / "package.xml").read_text()
    assert f"version: {sphmask_core.__version__}\n" in (ROOT / "CITATION.cff").read_text()
