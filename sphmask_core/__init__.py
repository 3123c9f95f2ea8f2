# SPDX-License-Identifier: Apache-2.0
"""Object instances from point clouds with Spherical Mask: the model, inference, evaluation; no ROS."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sphmask_core.runtime import threads as _threads  # noqa: F401

if TYPE_CHECKING:
    from sphmask_core.method.instances import Instances
    from sphmask_core.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = ["Instances", "Segmenter", "__version__"]

_MODULES = {"Instances": "sphmask_core.method.instances", "Segmenter": "sphmask_core.segmenter"}


def __getattr__(name: str) -> Any:
    """Loads torch when it is first wanted: light parts of the package can be imported without it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
