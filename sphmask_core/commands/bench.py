# SPDX-License-Identifier: Apache-2.0
"""What `sphmask bench` measures: time and memory by stage, beside what the machine could do at best."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.method.instances import Instances
from sphmask_core.method.preparation import prepare
from sphmask_core.runtime.timing import Timer
from sphmask_core.runtime.units import GIGA, KIBI, MS_PER_SECOND
from sphmask_core.segmenter import Segmenter
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_core.sparse.maps import Level, build_levels
from sphmask_core.sparse.modules import DownConv, PointwiseConv, SubmanifoldConv, UpConv

SIMULATED = 3
"""Simulated frames where no clouds are given."""
FRAME = (640, 480)
"""Columns and rows of a simulated frame."""
MATRIX = 1536
"""Rows and columns of the matrices by whose product the machine is judged."""
RESET_PEAK = "5"
"""What makes Linux forget the peak of a process's memory (proc(5), clear_refs)."""
COPY_BYTES = 1 << 28
"""Bytes that are copied to judge its memory: more than any cache holds."""
ELEMENT = 4
"""Bytes of a feature (float32) and of an index (int32)."""
MACHINE_REPEATS = 5
"""Times that each is tried; the fastest counts."""


@dataclass(frozen=True)
class Work:
    """What the convolutions of one cloud have to do at least."""

    flops: float
    """Multiplications and additions."""
    bytes: float
    """Read and written when every array passes memory once."""


@dataclass(frozen=True)
class Machine:
    """What the machine does at best, with the threads that the segmenter has."""

    flops: float
    """A second, in a product of large matrices."""
    bytes: float
    """Read and written a second, in a large copy."""

    def floor(self, work: Work) -> float:
        """Returns the milliseconds below which the work cannot be done."""
        return MS_PER_SECOND * max(work.flops / self.flops, work.bytes / self.bytes)


@dataclass(frozen=True)
class Measurement:
    """Holds what was measured of one cloud that was segmented several times."""

    name: str
    points: int
    voxels: int
    instances: int
    work: Work
    milliseconds: dict[str, float]
    """Median of each stage, by the clock."""
    processor: float
    """Median processor time of a call, all threads together, milliseconds; other programs do not count."""
    megabytes: dict[str, float]
    """Most memory that each stage held beyond what was held before."""


class MemoryTimer(Timer):
    """Measures the time of each stage, and the most memory that it held."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.bytes: dict[str, int] = {}
        _forget_peak(device)
        self.before = _peak_bytes(device, held=True)

    def start(self, stage: str) -> None:
        """End the running stage and begin another."""
        running = self._marks[-1][0] if self._marks else ""
        super().start(stage)
        if running:
            peak = _peak_bytes(self.device) - self.before
            self.bytes[running] = max(self.bytes.get(running, 0), peak)
        _forget_peak(self.device)


def _peak_bytes(device: torch.device, held: bool = False) -> int:
    """Returns the most memory since `_forget_peak`, or what is held now, of the device or this process."""
    if device.type == "cuda":
        read = torch.cuda.memory_allocated if held else torch.cuda.max_memory_allocated
        return int(read(device))
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS" if held else "VmHWM"))
    return int(line.split()[1]) * KIBI


def _forget_peak(device: torch.device) -> None:
    """Begin a new peak; on the CPU give back first what is held but not used."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # where the kernel does not let us, peaks are those of the whole process
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)


def simulated_clouds() -> list[tuple[str, Cloud]]:
    """Returns the frames of 640 x 480 points of a simulated camera over tables."""
    return [(f"simulated {seed}", simulate_cloud(seed, *FRAME)) for seed in range(SIMULATED)]


def measure(segmenter: Segmenter, name: str, cloud: Cloud, repeats: int) -> Measurement:
    """Segment a cloud `repeats` times, after one time that does not count."""
    find = partial(segmenter, cloud.xyz, cloud.rgb, turns=1 if cloud.organized else None)
    find()
    results, processor = [], []
    for _ in range(repeats):
        start = time.process_time()
        results.append(find())
        processor.append(MS_PER_SECOND * (time.process_time() - start))
    stages = results[0].timings
    levels = cloud_levels(segmenter, cloud)
    return Measurement(
        name=name,
        points=len(cloud.xyz),
        voxels=len(levels[0].coords) if levels else 0,
        instances=len(results[0]),
        work=convolution_work(segmenter.model.backbone, levels),
        milliseconds={
            stage: statistics.median(result.timings[stage] for result in results) for stage in stages
        },
        processor=statistics.median(processor),
        megabytes=_stage_memory(segmenter.device, find),
    )


def _stage_memory(device: torch.device, find: Callable[..., Instances]) -> dict[str, float]:
    """Returns the megabytes of each stage, in a run of its own: watching memory takes time."""
    timer = MemoryTimer(device)
    find(timer=timer)
    return {stage: held / 2**20 for stage, held in timer.bytes.items()}


def cloud_levels(segmenter: Segmenter, cloud: Cloud) -> list[Level]:
    """Returns the levels of the U-Net over a cloud's voxels."""
    config = segmenter.config
    voxels = prepare(torch.from_numpy(cloud.xyz), None, config).voxels
    return [] if voxels is None else build_levels(voxels.coords, config.model.levels)


def convolution_work(backbone: torch.nn.Module, levels: Sequence[Level]) -> Work:
    """Returns the flops and bytes of all convolutions of the U-Net over the voxels of `levels`."""
    flops = moved = 0
    for name, module in backbone.named_modules():
        if levels and isinstance(module, (SubmanifoldConv, DownConv, UpConv, PointwiseConv)):
            depth = name.split(".").count("inner")
            rows = len(levels[depth].coords)
            others = len(levels[depth + 1].coords) if isinstance(module, (DownConv, UpConv)) else rows
            pairs = levels[depth].neighbors.count() if isinstance(module, SubmanifoldConv) else rows
            out, size, *_, inner = module.weight.shape
            flops += 2 * pairs * inner * out
            sides = (
                (others * inner, rows * out) if isinstance(module, UpConv) else (rows * inner, others * out)
            )
            moved += ELEMENT * (sum(sides) + (size**3 * others if size > 1 else 0))
    return Work(flops, moved)


def measure_machine(device: torch.device) -> Machine:
    """Returns the rates of the device with torch's present number of threads."""
    a, b = torch.rand(2, MATRIX, MATRIX, device=device)
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    product = best_seconds(lambda: torch.mm(a, b), device)
    copy = best_seconds(lambda: target.copy_(source), device)
    return Machine(2 * MATRIX**3 / product, 2 * COPY_BYTES / copy)


def best_seconds(call: Callable[[], Any], device: torch.device) -> float:
    """Returns the shortest time of several calls, by the clock."""
    times = []
    for _ in range(MACHINE_REPEATS):
        timer = Timer(device)
        timer.start("call")
        call()
        timer.stop()
        times.append(timer.milliseconds["call"])
    return min(times) / MS_PER_SECOND


def measurements(measured: Sequence[Measurement], machine: Machine) -> str:
    """Returns the tables of clouds, of stages and of the convolutions, as text."""
    return "\n".join(
        [*_cloud_lines(measured), "", *_stage_lines(measured), "", *_machine_lines(measured, machine)]
    )


def _cloud_lines(measured: Sequence[Measurement]) -> list[str]:
    head = f"{'cloud':<20}{'points':>10}{'voxels':>10}{'instances':>11}{'ms':>9}{'processor ms':>14}{'MB':>9}"
    rows = [
        f"{cloud.name:<20.20}{cloud.points:>10}{cloud.voxels:>10}{cloud.instances:>11}"
        f"{sum(cloud.milliseconds.values()):>9.1f}{cloud.processor:>14.1f}{max(cloud.megabytes.values()):>9.1f}"
        for cloud in measured
    ]
    return [head, *rows]


def _stage_lines(measured: Sequence[Measurement]) -> list[str]:
    stages = dict.fromkeys(stage for cloud in measured for stage in cloud.milliseconds)
    median = {s: statistics.median(cloud.milliseconds.get(s, 0.0) for cloud in measured) for s in stages}
    megabytes = {s: max(cloud.megabytes.get(s, 0.0) for cloud in measured) for s in stages}
    total = sum(median.values())
    rows = [
        f"{stage:<20}{ms:>10.2f}{ms / total:>9.0%}{megabytes[stage]:>9.1f}" for stage, ms in median.items()
    ]
    return [f"{'stage':<20}{'median ms':>10}{'share':>9}{'MB':>9}", *rows, f"{'all':<20}{total:>10.2f}"]


def _machine_lines(measured: Sequence[Measurement], machine: Machine) -> list[str]:
    median = sorted(measured, key=lambda cloud: cloud.work.flops)[len(measured) // 2]
    passed = median.milliseconds.get("backbone", float("nan"))
    rate, floor = median.work.flops / passed / (GIGA / MS_PER_SECOND), machine.floor(median.work)
    return [
        f"machine: {machine.flops / GIGA:.0f} GFLOP/s in torch.mm, {machine.bytes / GIGA:.1f} GB/s in copies",
        f"convolutions of {median.name}: "
        f"{median.work.flops / GIGA:.2f} GFLOP, {median.work.bytes / GIGA:.2f} GB; "
        f"at these rates {floor:.1f} ms at least",
        f"backbone: {passed:.1f} ms, {rate:.0f} GFLOP/s, {GIGA * rate / machine.flops:.0%} of torch.mm's",
    ]
