# SPDX-License-Identifier: Apache-2.0
"""Foreign text in messages of ours: what an exception says, and names that a file or a message brings."""

from __future__ import annotations

MOST_REASON = 200
"""Characters that are shown of an exception's text: two lines of a terminal."""
MOST_NAME = 40
"""Characters that are shown of a foreign name."""


def one_line(error: BaseException | str) -> str:
    """Returns an error's text on one line, cut where it is long, or its type where it says nothing."""
    return " ".join(str(error).split())[:MOST_REASON] or type(error).__name__


def quoted(name: str) -> str:
    """Returns a foreign name in quotes, with what cannot be printed escaped, cut where it is long."""
    return repr(name[:MOST_NAME])
