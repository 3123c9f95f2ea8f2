# SPDX-License-Identifier: Apache-2.0
"""What the time went into, as sphmask_ros/Timings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sphmask_core.messages import Make


def timings_message(make: Make, header: Any, stages: Mapping[str, float], latency: float) -> Any:
    """Returns the message of one cloud: milliseconds of each stage, and from its coming to its answer."""
    return make(
        "sphmask_ros/Timings",
        header=header,
        stages=list(stages),
        milliseconds=np.array(list(stages.values()), np.float32),
        latency=float(latency),
    )
