# SPDX-License-Identifier: Apache-2.0
"""Seeded damage: bytes flipped, cut, doubled, and numbers in them made huge or negative."""

from __future__ import annotations

import random
import re

HUGE = (b"0", b"-1", b"1000000000", b"4294967295", b"9223372036854775808", b"9" * 400, b"nan", b"1e300")
WORDS = (b"\x00" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\xc0\x7f", b"\xff" * 8)
MOST_STEPS = 3


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content with one to MOST_STEPS kinds of damage."""
    for _ in range(draw.randint(1, MOST_STEPS)):
        content = draw.choice((_flip, _word, _cut, _repeat, _number))(content, draw)
    return content


def _flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.randint(1, 8)):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _word(content: bytes, draw: random.Random) -> bytes:
    word, at = draw.choice(WORDS), draw.randrange(len(content) + 1)
    return content[:at] + word + content[at + len(word) :]


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _repeat(content: bytes, draw: random.Random) -> bytes:
    start, end = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[start:end] * draw.randint(1, 4) + content[end:]


def _number(content: bytes, draw: random.Random) -> bytes:
    """One of the numbers that are written as text, as in headers, is another."""
    numbers = list(re.finditer(rb"\d+", content[:4096]))
    if not numbers:
        return content
    place = draw.choice(numbers)
    return content[: place.start()] + draw.choice(HUGE) + content[place.end() :]
