# SPDX-License-Identifier: Apache-2.0
"""python -m test.hostile [CASES [SEED]]: damaged files for every reader, and what became of them.

The exit status is 1 if any was not read and not refused by one line.
"""

from __future__ import annotations

import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from sphmask_core.config.ranges import ConfigError
from test.hostile.mutations import mutated
from test.hostile.targets import Target, targets

CASES = 300
MEMORY = 1 << 30
"""Bytes that reading may map beyond what is mapped before."""
SECONDS = 5
"""Of the processor's time, which other programs do not take part of."""
LONGEST = 60
"""Seconds of the clock, for a reader that waits for what does not come."""
READ, REFUSED, BROKEN = "read", "refused", "broken"


class TooSlow(BaseException):
    """A reader that took longer than SECONDS, or LONGEST."""


def outcome(target: Target, path: Path) -> tuple[str, str]:
    """What becomes of a file: READ, REFUSED or BROKEN, and what was said."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(LONGEST)
    try:
        target.read(path)
    except ValueError as error:
        named = isinstance(error, ConfigError) or str(error).startswith(f"{path}: ")  # or the key at fault
        return (REFUSED if named and "\n" not in str(error) else BROKEN), f"{type(error).__name__}: {error}"
    except (Exception, TooSlow) as error:
        return BROKEN, f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return READ, ""


def run(targets: list[Target], cases: int, seed: int) -> int:
    """Try so many damaged files, print the outcomes; returns how many were neither read nor refused."""
    draw, table = random.Random(seed), Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(cases):
            target = targets[number % len(targets)]
            path = Path(folder) / f"case{target.suffix}"
            path.write_bytes(mutated(draw.choice(target.valid), draw))
            result, message = outcome(target, path)
            table[target.suffix, result] += 1
            if result == BROKEN:
                print(f"case {number} of seed {seed}: {target.suffix}: {message[:300]!r}")
    print(f"{'reader':<14}" + "".join(f"{name:>9}" for name in (READ, REFUSED, BROKEN)))
    for target in targets:
        counts = (table[target.suffix, name] for name in (READ, REFUSED, BROKEN))
        print(f"{target.suffix:<14}" + "".join(f"{count:>9}" for count in counts))
    return sum(count for (_, result), count in table.items() if result == BROKEN)


def set_limits() -> None:
    """Bound the memory of this process, and have SIGPROF and SIGALRM end what is too slow."""

    def late(_signal: int, _frame: FrameType | None) -> Any:
        raise TooSlow(f"took more than {SECONDS} s of the processor, or {LONGEST} s")

    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, late)
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    readers = targets()
    set_limits()
    sys.exit(1 if run(readers, *(numbers + [CASES, 0][len(numbers) :])) else 0)
