# SPDX-License-Identifier: Apache-2.0
"""Where up is in a frame, as far as its name tells (REP 103)."""

from __future__ import annotations

from sphmask_core.clouds.coordinates import LEVEL_CAMERA, Vector

OPTICAL_SUFFIX = "_optical_frame"
"""End of the names of frames whose x is right, y down and z forward, those of a camera's image."""


def vertical_of(frame_id: str) -> Vector | None:
    """Returns the unit vector up in a frame of that name: -y in a level camera's optical frame; None in
    others, whose name does not tell."""
    return LEVEL_CAMERA if frame_id.endswith(OPTICAL_SUFFIX) else None
