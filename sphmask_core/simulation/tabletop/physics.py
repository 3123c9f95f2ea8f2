# SPDX-License-Identifier: Apache-2.0
"""Things fall and come to rest: rigid bodies in MuJoCo (Todorov et al., IROS 2012)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sphmask_core.simulation.tabletop.extra import needed
from sphmask_core.simulation.tabletop.model import Model, Part

STEP = 0.004
"""Seconds; twice of it is the shortest time constant of a contact that is stable."""
CONTACT = (2 * STEP, 1.0)
DENSITY = 400.0
"""Kilograms a cubic meter: between an empty carton and a full can."""
LIGHTEST = 1e-3
"""Kilograms; lighter bodies shake."""
FRICTION = (0.7, 0.01, 0.002)
DAMPING = 2e-4
"""Damping of turns, newton meters a radian a second: bottles stop rolling."""
ITERATIONS = 12
MEMORY = 1 << 28
"""Bytes for contacts: heaps of bowls and racks of many parts have thousands."""
STRIDE = 25
"""Steps between two looks at whether all is at rest."""
STILL = 0.03
"""Meters a second that count as rest."""
FALLING = 0.2
"""Meters a second above which a body falls or rolls away."""


@dataclass(frozen=True)
class Pose:
    """Where a body is."""

    rotation: np.ndarray
    """(3, 3)"""
    position: np.ndarray
    """(3,)"""
    still: bool = True
    """Whether it is at rest, or nearly"""

    def of(self, model: Model) -> Model:
        """Returns the thing in this pose."""
        return model.moved(self.rotation, self.position)


def settle(
    fixed: Sequence[Part], models: Sequence[Model], poses: Sequence[Pose], seconds: float
) -> list[Pose]:
    """Let bodies fall among fixed parts for so long, or until all are at rest; returns their poses then."""
    mujoco = needed("mujoco")
    spec = _world(mujoco, fixed, models, poses)
    compiled = spec.compile()
    state = mujoco.MjData(compiled)
    for _ in range(max(1, round(seconds / STEP / STRIDE))):
        try:
            mujoco.mj_step(compiled, state, nstep=STRIDE)
        except mujoco.FatalError:  # more contacts than there is memory for: nothing is at rest
            return [replace(pose, still=False) for pose in poses]
        if np.abs(state.qvel).max(initial=0) < STILL:
            break
    speed = np.linalg.norm(state.qvel.reshape(-1, 6)[:, :3], axis=1)
    return [
        Pose(state.xmat[i].reshape(3, 3).copy(), state.xpos[i].copy(), bool(speed[i - 1] < FALLING))
        for i in range(1, len(models) + 1)
    ]


def _world(mujoco: Any, fixed: Sequence[Part], models: Sequence[Model], poses: Sequence[Pose]) -> Any:
    spec = mujoco.MjSpec()
    spec.option.timestep = STEP
    spec.option.iterations = ITERATIONS
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.memory = MEMORY
    spec.compiler.boundmass, spec.compiler.boundinertia = LIGHTEST, LIGHTEST * 1e-4
    for part in fixed:
        _add(mujoco, spec, spec.worldbody, part)
    for model, pose in zip(models, poses, strict=True):
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, pose.rotation.reshape(-1))
        body = spec.worldbody.add_body(pos=pose.position, quat=quaternion)
        body.add_joint(type=mujoco.mjtJoint.mjJNT_FREE, damping=[DAMPING, 0, 0])
        for part in model.parts:
            _add(mujoco, spec, body, part)
    return spec


def _add(mujoco: Any, spec: Any, body: Any, part: Part) -> None:
    """Add a part to a body."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(part.rotation).reshape(-1))
    common = {
        "pos": part.position,
        "quat": quaternion,
        "friction": FRICTION,
        "solref": CONTACT,
        "density": DENSITY,
        "condim": 4,
    }
    if part.points is None:
        kind = getattr(mujoco.mjtGeom, f"mjGEOM_{part.shape.upper()}")
        body.add_geom(type=kind, size=part.size, **common)
        return
    name = f"mesh{len(spec.meshes)}"
    mesh = spec.add_mesh(name=name, uservert=part.points.reshape(-1))
    mesh.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_CONVEX
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, **common)
