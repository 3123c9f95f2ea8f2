# SPDX-License-Identifier: Apache-2.0
"""Object instances from point clouds with Spherical Mask: the model, inference, evaluation; no ROS."""

from sphmask_core.method.instances import Instances
from sphmask_core.runtime import threads as _threads  # noqa: F401
from sphmask_core.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = ["Instances", "Segmenter", "__version__"]
