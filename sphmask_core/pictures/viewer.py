# SPDX-License-Identifier: Apache-2.0
"""Clouds and what was found in them in rerun, a viewer of 3D data over time (rerun.io)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.coordinates import far_offset
from sphmask_core.method.spherical import polygon
from sphmask_core.palette import MID_GRAY, object_colors
from sphmask_core.pictures.views import eye_axes

APPLICATION = "sphmask"
FRAME, STAMP = "frame", "stamp"
"""Time lines: the number of a cloud, and the time in a bag's headers."""
SEEN_THROUGH = (255, 255, 255, 70)
"""Factor on the color and the opacity of polygons: the points inside are seen through them."""
NIGHT = (24, 24, 28)
"""Color of the background."""
DISTANCE = 1.5
"""Distance of the eye, in radii of the cloud."""
POINT_SIZE, LINE_SIZE, RAY_SIZE = 1.5, 1.5, 0.7
"""Radii on the screen, as of a point in a text."""
COLUMNS = [5, 2]
"""Widths of the view and of the table beside it, as shares."""
SMALLEST_RADIUS = 1e-3
"""Meters: the eye is as far as from a cloud of this radius at least."""
OUTER = (2.0, 98.0)
"""Percentiles between which the eye looks, so that stray points do not move it away."""


@dataclass(frozen=True)
class SegmentedCloud:
    """A cloud and what was found in it, wherever it was kept; lengths in meters in the cloud's frame."""

    name: str
    stamp: int | None
    """Nanoseconds, of a bag's header."""
    cloud: Cloud
    labels: np.ndarray
    """(N,) uint32: the object's id of each point, 0 for none."""
    ids: np.ndarray
    """(I,) uint32"""
    class_names: tuple[str, ...]
    scores: np.ndarray
    """(I,) float32"""
    centers: np.ndarray
    """(I, 3): where the rays begin"""
    rays: np.ndarray
    """(I, R)"""
    sectors: tuple[int, int]
    """Polar and azimuth sectors of the rays; their product is R."""
    rotation: np.ndarray
    """(3, 3): rows are the axes about which the sectors are measured; the last is up."""
    box_centers: np.ndarray
    """(I, 3)"""
    box_sizes: np.ndarray
    """(I, 3): length, width, height"""
    box_rotations: np.ndarray
    """(I, 3, 3): columns are the directions of these"""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def colors(self) -> np.ndarray:
        """Returns (N, 3) uint8: the object's color, else the cloud's, else gray."""
        rgb = self.cloud.rgb
        plain = np.full((len(self.labels), 3), MID_GRAY, np.uint8) if rgb is None else rgb
        return np.where(self.labels[:, None] > 0, object_colors(self.labels), plain)

    @property
    def captions(self) -> list[str]:
        """Returns the class, id and score of each instance."""
        rows = zip(self.class_names, self.ids, self.scores, strict=True)
        return [f"{name} {number}: {score:.2f}" for name, number, score in rows]


def check_viewer() -> None:
    """Raise ModuleNotFoundError where rerun is not installed."""
    try:
        installed = find_spec("rerun") is not None
    except ValueError:  # a module that is blocked
        installed = False
    if not installed:
        raise ModuleNotFoundError("the viewer needs a library: pip install 'sphmask[rerun]'")


class Viewer:
    """Shows clouds one after the other on a time line, in a window or in a file for later."""

    def __init__(self, save: Path | None) -> None:
        """Begin the file `save` (.rrd), or open a window where it is None."""
        import rerun

        self._rerun = rerun
        self._recording = rerun.RecordingStream(APPLICATION)
        if save is None:
            self._recording.spawn()
        else:
            self._recording.save(save)
        self._shown = 0

    def show(self, shown: SegmentedCloud) -> None:
        """Add a cloud to the time line."""
        if self._shown == 0:
            self._look_at(shown)
        self._recording.set_time(FRAME, sequence=self._shown)
        if shown.stamp is not None:
            self._recording.set_time(STAMP, timestamp=np.datetime64(shown.stamp, "ns"))
        self._shown += 1
        offset = far_offset(shown.cloud.xyz)
        self._log_points(shown, offset)
        self._log_boxes(shown, offset)
        self._log_polygons(shown, offset)
        self._recording.log("table", self._rerun.TextDocument(_table(shown), media_type="text/markdown"))

    def close(self) -> None:
        """Write or send what is still to be written or sent."""
        self._recording.flush()
        self._recording.disconnect()

    def _log_points(self, shown: SegmentedCloud, offset: np.ndarray) -> None:
        seen = np.isfinite(shown.cloud.xyz).all(1)
        points = (shown.cloud.xyz[seen] - offset).astype(np.float32)
        radii = self._rerun.Radius.ui_points(POINT_SIZE)
        self._recording.log("points", self._rerun.Points3D(points, colors=shown.colors[seen], radii=radii))

    def _log_boxes(self, shown: SegmentedCloud, offset: np.ndarray) -> None:
        turns = Rotation.from_matrix(shown.box_rotations).as_quat() if len(shown) else np.empty((0, 4))
        boxes = self._rerun.Boxes3D(
            centers=(shown.box_centers - offset).astype(np.float32),
            sizes=shown.box_sizes,
            quaternions=turns,
            colors=object_colors(shown.ids),
            radii=self._rerun.Radius.ui_points(LINE_SIZE),
            labels=shown.captions,
            show_labels=True,
        )
        self._recording.log("instances/boxes", boxes)

    def _log_polygons(self, shown: SegmentedCloud, offset: np.ndarray) -> None:
        if not len(shown):
            for name in ("polygons", "rays"):
                self._recording.log(f"instances/{name}", self._rerun.Clear(recursive=False))
            return
        meshes = [
            polygon(center - offset, rays, shown.sectors, shown.rotation)
            for center, rays in zip(shown.centers, shown.rays, strict=True)
        ]
        vertices, faces = np.array([mesh[0] for mesh in meshes]), np.array([mesh[1] for mesh in meshes])
        count, corners = vertices.shape[:2]
        colors = np.repeat(object_colors(shown.ids), corners, axis=0)
        mesh = self._rerun.Mesh3D(
            vertex_positions=vertices.reshape(-1, 3),
            triangle_indices=(faces + corners * np.arange(count)[:, None, None]).reshape(-1, 3),
            vertex_colors=colors,
            albedo_factor=SEEN_THROUGH,
        )
        self._recording.log("instances/polygons", mesh)
        ends = vertices[:, :-2]  # without the poles, which are between rays
        begins = np.broadcast_to((shown.centers - offset)[:, None], ends.shape)
        rays = self._rerun.LineStrips3D(
            np.stack([begins, ends], 2).reshape(-1, 2, 3).astype(np.float32),
            colors=np.repeat(object_colors(shown.ids), ends.shape[1], axis=0),
            radii=self._rerun.Radius.ui_points(RAY_SIZE),
        )
        self._recording.log("instances/rays", rays)

    def _look_at(self, shown: SegmentedCloud) -> None:
        """Lay the window out, the eye on the cloud from the side of its sensor, upright."""
        import rerun.blueprint as layout

        points = shown.cloud.xyz[np.isfinite(shown.cloud.xyz).all(1)]
        if not len(points):
            return
        low, high = np.percentile(points - far_offset(points), OUTER, axis=0)
        middle, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, SMALLEST_RADIUS)
        forward = eye_axes(shown.rotation[2], middle, radius)[2]
        eye = layout.EyeControls3D(
            position=middle - DISTANCE * radius * forward, look_target=middle, eye_up=shown.rotation[2]
        )
        scene = layout.Spatial3DView(
            origin="/", name="cloud", eye_controls=eye, line_grid=False, background=NIGHT
        )
        table = layout.TextDocumentView(origin="/table", name="instances")
        panels = layout.Horizontal(scene, table, column_shares=COLUMNS)
        self._recording.send_blueprint(layout.Blueprint(panels, collapse_panels=True))


def _table(shown: SegmentedCloud) -> str:
    """Returns the instances as a table in Markdown."""
    rows = [
        f"| {number} | {name} | {score:.2f} | {' x '.join(f'{length:.3f}' for length in size)} |"
        for number, name, score, size in zip(
            shown.ids, shown.class_names, shown.scores, shown.box_sizes, strict=True
        )
    ]
    offset = far_offset(shown.cloud.xyz)
    moved = f"Shown less {', '.join(f'{length:.0f}' for length in offset)} m.\n\n" if offset.any() else ""
    head = f"**{shown.name}**\n\n{moved}| id | class | score | size (m) |\n| --- | --- | --- | --- |\n"
    return head + "\n".join(rows)
