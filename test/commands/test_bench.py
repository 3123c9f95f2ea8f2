# SPDX-License-Identifier: Apache-2.0
"""`sphmask bench`: the work that it counts, the memory that it sees, and what it prints."""

import re

import numpy as np
import pytest
import torch

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.commands import cli
from sphmask_core.commands.bench import Machine, MemoryTimer, Work, convolution_work, measure
from sphmask_core.method.backbone import SparseUNet
from sphmask_core.segmenter import Segmenter
from sphmask_core.sparse.maps import build_levels
from test.helpers.threads import threads_of


def cube(side):
    """Levels of a full cube of voxels."""
    steps = torch.arange(side)
    coords = torch.cartesian_prod(torch.zeros(1, dtype=steps.dtype), steps, steps, steps).int()
    return build_levels(coords, 2)


def test_work_of_a_cube():
    """2^3 voxels all see each other, and are one voxel a level below; widths 4 and 8, six inputs."""
    work = convolution_work(SparseUNet(6, 4, 2), cube(2))
    fine = 64 * (6 * 4 + 4 * 4 * 4 + 8 * 4 + 3 * 4 * 4)  # input, head, the first tail block, the rest of it
    coarse = 1 * 4 * 8 * 8
    between = 8 * (4 * 8 + 8 * 4) + 8 * 8 * 4  # down, up, and the shortcut of the first tail block
    assert work.flops == 2 * (fine + coarse + between)


def test_work_grows_with_the_voxels():
    small, large = (convolution_work(SparseUNet(6, 4, 2), cube(side)) for side in (4, 8))
    assert 8 * small.flops < large.flops < 14 * small.flops
    assert 6 * small.bytes < large.bytes < 10 * small.bytes
    assert convolution_work(SparseUNet(6, 4, 2), []) == Work(0, 0)


def test_the_slower_of_the_two_rates_is_the_floor():
    machine = Machine(flops=1e9, bytes=1e8)
    assert machine.floor(Work(flops=2e9, bytes=1e7)) == 2000
    assert machine.floor(Work(flops=1e6, bytes=3e8)) == 3000


def test_memory_of_a_stage():
    timer = MemoryTimer(torch.device("cpu"))
    timer.start("large")
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    del held
    timer.start("small")
    torch.ones(1000)
    timer.stop()
    assert 60 < timer.bytes["large"] / 2**20 < 80
    assert timer.bytes["small"] / 2**20 < 20


def test_a_measured_cloud(weights):
    xyz = np.random.default_rng(0).random((3000, 3), dtype=np.float32)
    xyz[::5] = np.nan
    segmenter = Segmenter.load(weights, "cpu")
    measured = measure(segmenter, "cube", Cloud(xyz, None, None, (1, 3000)), 2)
    assert (measured.name, measured.points) == ("cube", 3000) and 2000 < measured.voxels <= 2400
    assert {"voxels", "backbone", "output"} <= measured.milliseconds.keys() == measured.megabytes.keys()
    assert measured.work.flops > 2 * measured.voxels and min(measured.milliseconds.values()) >= 0


def test_bench_of_a_cloud(tmp_path, capsys, weights):
    np.save(tmp_path / "cube.npy", np.random.default_rng(0).random((3000, 3), dtype=np.float32))
    arguments = ["bench", str(tmp_path / "cube.npy"), "--model", str(weights), "--device", "cpu"]
    with threads_of(torch.get_num_threads()):
        assert cli.main([*arguments, "--repeats", "1", "--threads", "1", "--peers"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^cube\.npy +3000 +2\d\d\d ", printed, re.MULTILINE)
    assert re.search(r"^backbone +\d+\.\d\d +\d+% +-?\d+\.\d$", printed, re.MULTILINE)
    assert re.search(r"^machine: \d+ GFLOP/s in torch.mm, \d+\.\d GB/s in copies$", printed, re.MULTILINE)
    assert re.search(
        r"^3\^3, one thread +channels +ours ms +plain torch ms .*GFLOP/s$", printed, re.MULTILINE
    )
    levels = re.findall(r"^\d+ voxels +[48] +\d+\.\d\d \(1\.0 x\) +\d+\.\d\d \(", printed, re.MULTILINE)
    assert len(levels) == 2


@pytest.mark.parametrize("option", ["--repeats", "--threads"])
def test_nothing_to_measure(capsys, weights, option):
    assert cli.main(["bench", "--model", str(weights), option, "0"]) == 2
    assert capsys.readouterr().err == "sphmask: --repeats and --threads must be at least 1\n"
