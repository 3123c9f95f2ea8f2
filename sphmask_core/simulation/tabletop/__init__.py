# SPDX-License-Identifier: Apache-2.0
"""Tables, floors, shelves and bins of real meshes at rest, as depth cameras see them.

Needs the extra: `pip install sphmask[simulation]`.
"""

from sphmask_core.simulation.tabletop.assets import Assets, load_assets
from sphmask_core.simulation.tabletop.frame import simulate_scene

__all__ = ["Assets", "load_assets", "simulate_scene"]
