# SPDX-License-Identifier: Apache-2.0
"""A simulated depth camera over a table with objects: clouds with exact labels, repeatable by seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.cloud import Cloud
from sphmask_core.raycast import Box, Revolved, Shape, Solid
from sphmask_core.scenes import FIRST_OBJECT

TABLE_LABEL = 1
OBJECTS = (2, 12)
ATTEMPTS = 30
SPREAD = 0.3  # metres, farthest from the table's middle along its sides
STACKED = 0.25
LYING = 0.3
FOCAL = 525.0 / 640.0  # of the Kinect, in image widths
DISPARITY = 43.5  # pixels * metres: the Kinect's 580 pixel infrared focal length times its 7.5 cm baseline
DISPARITY_STEP = 1 / 8
DISPARITY_NOISE = 0.06
EDGE_STEP = 0.02  # metres between neighbours that make an edge of depth
SPECKLE = 0.003
GRAZING = 0.12

_angles = np.arange(18) * (np.pi / 18)
SEPARATING = np.concatenate(
    [np.stack([np.cos(_angles), np.sin(_angles), 0 * _angles], 1), [[0.0, 0.0, 1.0]]]
).T  # (3, 19) directions along which two solids may be apart


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; its optical frame is x right, y down, z forward."""

    width: int
    height: int
    rotation: np.ndarray
    """(3, 3), columns: the optical axes in the table's frame"""
    position: np.ndarray
    """(3,) in the table's frame"""

    @property
    def focal(self) -> float:
        return FOCAL * self.width

    def directions(self) -> np.ndarray:
        """(height, width, 3) rays in the optical frame, z = 1."""
        u = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        v = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        return np.stack([*np.meshgrid(u, v), np.ones((self.height, self.width))], 2)

    def window(self, hull: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the image that a convex hull (K, 3) can touch."""
        points = (hull - self.position) @ self.rotation
        scaled = points[:, :2] / np.maximum(points[:, 2:], 1e-3) * self.focal
        centre = np.array([self.width / 2, self.height / 2])
        low = np.clip(np.floor(scaled.min(0) + centre), 0, centre * 2).astype(int)
        high = np.clip(np.ceil(scaled.max(0) + centre), 0, centre * 2).astype(int)
        return slice(low[1], high[1]), slice(low[0], high[0])


@dataclass(frozen=True)
class Image:
    """What the camera sees before the sensor's noise; label 0 and infinite depth: nothing."""

    depth: np.ndarray
    """(height, width) metres along the optical axis"""
    rgb: np.ndarray
    """(height, width, 3) in [0, 1]"""
    labels: np.ndarray
    """(height, width) int64"""


def simulate_cloud(seed: int, width: int = 320, height: int = 240) -> Cloud:
    """One organised frame of a random table; labels 0 nothing, 1 table, 20, 30, 40, ... objects."""
    rng = np.random.default_rng(seed)
    solids = table_scene(rng)
    camera = random_camera(rng, width, height)
    image = render(solids, camera)
    xyz = camera.directions() * image.depth[..., None]
    normals = _normals(xyz)
    depth = kinect_depth(rng, image.depth, normals, camera)
    seen = np.isfinite(depth)
    rgb = _lit(rng, image.rgb, normals @ camera.rotation.T)
    xyz = camera.directions() * depth[..., None]
    labels = np.where(seen, image.labels, 0)
    return Cloud(
        xyz.astype(np.float32).reshape(-1, 3), rgb.reshape(-1, 3), labels.reshape(-1), (height, width)
    )


def table_scene(rng: np.random.Generator) -> list[Solid]:
    """A table top, its surface at z = 0, and objects on it or on each other, none inside another."""
    top = Box(rng.uniform(0.5, 1.2), rng.uniform(0.5, 0.9), 0.03)
    table = Solid(top, np.eye(3), np.array([0, 0, -0.03]), _colors(rng), _stripes(rng))
    solids = [table]
    for _ in range(rng.integers(*OBJECTS, endpoint=True)):
        for _ in range(ATTEMPTS):
            solid = _dropped(rng, solids)
            if all(_apart(solid.hull, other.hull) for other in solids):
                solids.append(solid)
                break
    return solids


def _dropped(rng: np.random.Generator, solids: list[Solid]) -> Solid:
    """A random object, somewhere on the table or on top of a box."""
    boxes = [solid for solid in solids[1:] if isinstance(solid.shape, Box)]
    support = boxes[rng.integers(len(boxes))] if boxes and rng.random() < STACKED else solids[0]
    shape = _random_shape(rng)
    rotation = _random_rotation(rng, shape)
    hull = shape.hull @ rotation.T
    area = support.shape.hull.max(0)  # half width, half depth, height
    free = np.clip(area[:2] - np.linalg.norm(hull[:, :2], axis=1).max(), 0.0, SPREAD)
    offset = support.rotation @ np.append(rng.uniform(-free, free), area[2])
    lift = np.array([0.0, 0.0, -hull[:, 2].min()])
    return Solid(shape, rotation, support.position + offset + lift, _colors(rng), _stripes(rng))


def _random_shape(rng: np.random.Generator) -> Shape:
    kind = rng.choice(["box", "book", "cylinder", "cup", "bowl", "ball"], p=[0.35, 0.1, 0.2, 0.15, 0.1, 0.1])
    if kind == "box":
        return Box(rng.uniform(0.04, 0.2), rng.uniform(0.04, 0.2), rng.uniform(0.04, 0.2))
    if kind == "book":
        return Box(rng.uniform(0.1, 0.25), rng.uniform(0.1, 0.25), rng.uniform(0.01, 0.04))
    radius, height = rng.uniform(0.025, 0.06), rng.uniform(0.05, 0.2)
    if kind == "cylinder":
        return Revolved.cone(radius, radius, height)
    if kind == "cup":
        return Revolved.cone(radius * rng.uniform(0.6, 1), radius, height * 0.7, hollow=True)
    if kind == "bowl":
        return Revolved.bowl(2 * radius, 2 * radius * rng.uniform(0.5, 0.9))
    return Revolved.ball(radius)


def _random_rotation(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """About the vertical; closed bodies of revolution sometimes lie on their side."""
    turn = _turn(2, rng.uniform(0, 2 * np.pi))
    lies = isinstance(shape, Revolved) and not shape.hollow and rng.random() < LYING
    return turn @ _turn(1, np.pi / 2) if lies else turn


def _turn(axis: int, angle: float) -> np.ndarray:
    rotation = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation[[i, j], [i, j]] = np.cos(angle)
    rotation[i, j], rotation[j, i] = -np.sin(angle), np.sin(angle)
    return rotation


def _apart(hull: np.ndarray, other: np.ndarray) -> bool:
    """Whether a direction separates two convex hulls; touching counts as apart."""
    mine, others = hull @ SEPARATING, other @ SEPARATING
    gaps = np.maximum(mine.min(0) - others.max(0), others.min(0) - mine.max(0))
    return bool(gaps.max() >= -1e-9)


def _colors(rng: np.random.Generator) -> np.ndarray:
    """(2, 3): one colour, and a second that is near to it more often than not."""
    first = rng.uniform(0.05, 0.95, 3)
    second = rng.uniform(0.05, 0.95, 3)
    return np.stack([first, first + (second - first) * rng.choice([0.0, 0.15, 1.0], p=[0.4, 0.3, 0.3])])


def _stripes(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=3) * rng.uniform(5, 40)


def random_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """A camera 0.6 to 1.3 m from the middle of the table, looking down by 20 to 65 degrees."""
    pitch, yaw = np.radians(rng.uniform(20, 65)), rng.uniform(0, 2 * np.pi)
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)])
    target = np.append(rng.uniform(-0.1, 0.1, 2), 0.05)
    right = np.array([forward[1], -forward[0], 0.0]) / np.cos(pitch)
    axes = np.stack([right, np.cross(forward, right), forward], 1)
    rotation = axes @ _turn(2, np.radians(rng.uniform(-5, 5)))
    return Camera(width, height, rotation, target - forward * rng.uniform(0.6, 1.3))


def render(solids: list[Solid], camera: Camera) -> Image:
    """Cast one ray a pixel; solid i > 0 gets the label 20, 30, 40, ..."""
    depth = np.full((camera.height, camera.width), np.inf)
    rgb = np.zeros((camera.height, camera.width, 3))
    labels = np.zeros(depth.shape, np.int64)
    rays = camera.directions() @ camera.rotation.T
    for i, solid in enumerate(solids):
        window = camera.window(solid.hull)
        t, colors = solid.hit(camera.position, rays[window].reshape(-1, 3))
        t = t.reshape(depth[window].shape)
        nearer = t < depth[window]
        depth[window][nearer] = t[nearer]
        rgb[window][nearer] = colors[nearer.reshape(-1)]
        labels[window][nearer] = FIRST_OBJECT + 10 * (i - 1) if i else TABLE_LABEL
    return Image(depth, rgb, labels)


def kinect_depth(
    rng: np.random.Generator, depth: np.ndarray, normals: np.ndarray, camera: Camera
) -> np.ndarray:
    """Depth (height, width) as structured light measures it, NaN where it cannot.

    Disparity is noisy and comes in steps of 1/8 pixel, so that the error grows with the square of the depth.
    Nothing is seen where the projector's light does not reach, at edges of depth, at grazing angles.
    """
    disparity = DISPARITY / depth  # zero where there is nothing
    measured = disparity + rng.normal(scale=DISPARITY_NOISE, size=depth.shape)
    measured = np.round(measured / DISPARITY_STEP) * DISPARITY_STEP
    facing = np.abs(np.einsum("hwc,hwc->hw", normals, camera.directions()))
    lost = ~np.isfinite(depth) | ~_lit_by_projector(disparity, camera)
    lost |= _edges(depth) & (rng.random(depth.shape) < 0.5)
    lost |= (facing < GRAZING) | (rng.random(depth.shape) < SPECKLE)
    with np.errstate(divide="ignore"):
        return np.where(lost, np.nan, DISPARITY / measured)


def _lit_by_projector(disparity: np.ndarray, camera: Camera) -> np.ndarray:
    """Whether nothing nearer in the same row stands between a pixel and the projector beside the camera."""
    scale = camera.width / 640
    column = np.arange(camera.width) + disparity * scale
    target = np.round(column).astype(np.int64) + np.arange(camera.height)[:, None] * (4 * camera.width)
    nearest = np.zeros(4 * camera.width * camera.height)
    order = np.argsort(disparity, axis=None)
    nearest[target.reshape(-1)[order]] = disparity.reshape(-1)[order]  # the last, nearest, stays
    return disparity >= nearest[target] - 1.5 / scale


def _edges(depth: np.ndarray) -> np.ndarray:
    """Pixels beside a step of depth."""
    edges = np.zeros(depth.shape, bool)
    filled = np.where(np.isfinite(depth), depth, 1e3)
    for axis in (0, 1):
        step = np.abs(np.diff(filled, axis=axis)) > EDGE_STEP
        before, after = [(0, 1), (0, 0)], [(1, 0), (0, 0)]
        edges |= np.pad(step, before if axis == 0 else before[::-1])
        edges |= np.pad(step, after if axis == 0 else after[::-1])
    return edges


def _normals(xyz: np.ndarray) -> np.ndarray:
    """(height, width, 3) unit normals towards the camera from differences of neighbours; zero at the rim."""
    filled = np.where(np.isfinite(xyz), xyz, 0.0)
    across, down = np.gradient(filled, axis=1), np.gradient(filled, axis=0)
    normals = np.cross(down, across)
    return normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)


def _lit(rng: np.random.Generator, rgb: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8: colours under a lamp above the table, with the noise of the colour camera."""
    lamp = np.append(rng.uniform(-0.7, 0.7, 2), 1.0)
    light = 0.55 + 0.45 * np.clip(normals @ (lamp / np.linalg.norm(lamp)), 0, 1)
    noisy = rgb * light[..., None] * rng.uniform(0.8, 1.1) + rng.normal(scale=0.015, size=rgb.shape)
    return np.clip(noisy * 255, 0, 255).astype(np.uint8)
