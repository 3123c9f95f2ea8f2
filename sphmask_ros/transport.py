# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile that we ship: room for clouds in shared memory (docs/transport.md)."""

from __future__ import annotations

import os
from pathlib import Path

FAST_DDS_2 = os.environ.get("ROS_DISTRO", "") in ("humble", "iron", "jazzy")
"""Whether this ROS 2 has Fast DDS 2. Version 3 calls an element of profiles otherwise, and each version
refuses a profile with an element that it does not know."""
PROFILE_NAME = "fastdds2.xml" if FAST_DDS_2 else "fastdds.xml"
"""The profile's file in the folder `config`."""
VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS looks for a profile: version 3, and version 2. The former warns of the latter's."""
VARIABLE = VARIABLES[FAST_DDS_2]
"""Where the Fast DDS of this ROS 2 looks."""


def use_profile(config: Path) -> None:
    """Lets this process and those that it starts use the profile in the folder `config`, unless the
    environment names another one. It counts for what is begun afterward."""
    if not any(name in os.environ for name in VARIABLES):
        os.environ[VARIABLE] = str(config / PROFILE_NAME)
