# SPDX-License-Identifier: Apache-2.0
"""The kinds of processor that the kernels are compiled for, and which of them this machine can run.

x86-64 has levels that a compiler may count on (x86-64 psABI, section 3.1.1): v2 has SSE 4.2, v3 adds AVX2
and FMA, v4 adds AVX-512. One more, v4-bf16, has products of bfloat16 numbers, two for one of float32 (Zen 4,
Sapphire Rapids and later). Every level becomes one library; `sphmask_core.native` opens the best that runs.
Other machines have one library for all (AArch64 always has the vectors and the fused multiply-add).

setup.py and test/native/Makefile run this file by itself, so it imports nothing of the package:
`python sphmask_core/native/levels.py` prints the levels that run here, with a level its compiler flags.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Level(NamedTuple):
    """Describes one kind of processor."""

    name: str
    flags: tuple[str, ...]
    """Flags of the compiler. gcc knows -march=x86-64-v3 from version 11 on only, hence single features."""
    features: frozenset[str]
    """What the processor must have, as /proc/cpuinfo calls it, beside those of the levels before."""

    @property
    def module(self) -> str:
        """Returns the name of the library's file, without its suffix."""
        return "_" + self.name.replace("-", "_")

    @property
    def bfloat16(self) -> bool:
        """Returns whether products of bfloat16 numbers are faster than those of float32."""
        return _BFLOAT16 in self.features


_V2 = ("-mcx16", "-msahf", "-mpopcnt", "-msse3", "-mssse3", "-msse4.1", "-msse4.2")
_V3 = (*_V2, "-mavx", "-mavx2", "-mbmi", "-mbmi2", "-mf16c", "-mfma", "-mlzcnt", "-mmovbe")
_V4 = (*_V3, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl")
_BFLOAT16 = "avx512_bf16"

X86_64 = (
    Level("x86-64-v2", _V2, frozenset(["cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"])),
    Level("x86-64-v3", _V3, frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"])),
    Level("x86-64-v4", _V4, frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])),
    Level("x86-64-v4-bf16", (*_V4, "-mavx512bf16"), frozenset([_BFLOAT16])),
)

OPTIMIZATION = (
    *("-std=c++17", "-O3", "-fno-trapping-math", "-fno-math-errno"),
    *("-fopenmp", "-Wall", "-Wextra", "-Wno-psabi"),
)
"""What every level is compiled with. Nobody reads the floating-point exceptions or errno, for whose sake gcc
would not vectorize loops with conditions or roots; results are the same without them."""


def levels_of(machine: str) -> tuple[Level, ...]:
    """Returns the levels of a kind of machine ("x86_64", "aarch64", ...), the lowest first."""
    return X86_64 if machine in ("x86_64", "amd64") else (Level(machine, (), frozenset()),)


LEVELS = levels_of(sysconfig.get_platform().split("-")[-1])
"""The levels of the machine that this Python is for, the lowest first."""


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Returns what the processor has and the operating system supports; nothing where that cannot be read."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), ":")
    return frozenset(flags.partition(":")[2].split())


def runnable(levels: Sequence[Level], features: frozenset[str]) -> list[Level]:
    """Returns the levels that a processor with these features can run, the best first; each needs all before
    it."""
    usable: list[Level] = []
    for level in levels:
        if not level.features <= features:
            break
        usable.insert(0, level)
    return usable


def main(names: Sequence[str]) -> str:
    """Returns the names of the levels that this machine runs, or the compiler flags of the level that is
    named."""
    if not names:
        return " ".join(level.name for level in reversed(runnable(LEVELS, processor_features())))
    flags = {level.name: level.flags for level in (*X86_64, *levels_of("aarch64"))}
    return " ".join((*OPTIMIZATION, *flags[names[0]]))


if __name__ == "__main__":
    print(main(sys.argv[1:]))
