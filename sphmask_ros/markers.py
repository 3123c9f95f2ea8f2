# SPDX-License-Identifier: Apache-2.0
"""Instances as RViz markers: name and score at the centre, box, spherical polygon."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core import Instances
from sphmask_core.draw import instance_colors
from sphmask_core.spherical import polygon
from sphmask_ros.conversions import to_point

EDGES = [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)]
"""Edges of a box between its corners; bits 2, 1, 0 of a corner's number choose the maximum of x, y, z."""


class InstanceMarkers:
    """Makes the marker array of each frame, which also deletes what only the frame before showed."""

    def __init__(self, rays: tuple[int, int]) -> None:
        self._rays = rays
        self._shown: set[tuple[str, int]] = set()

    def update(self, header: Header, found: Instances) -> MarkerArray:
        """Markers of namespace label, box and polygon under the instances' ids, and deletions."""
        colors = instance_colors(len(found)) / 255.0
        markers = [
            marker
            for index, color in enumerate(colors)
            for marker in _instance_markers(header, found, index, color, self._rays)
        ]
        shown = {(marker.ns, marker.id) for marker in markers}
        stale = [_marker(header, *key, action=Marker.DELETE) for key in sorted(self._shown - shown)]
        self._shown = shown
        return MarkerArray(markers=stale + markers)


def _instance_markers(
    header: Header, found: Instances, index: int, color: np.ndarray, rays: tuple[int, int]
) -> list[Marker]:
    center, box = found.centers[index], found.boxes[index]
    label = _marker(header, "label", index + 1, type=Marker.TEXT_VIEW_FACING, color=_color((1, 1, 1), 1.0))
    label.text = f"{found.class_names[index]} {index + 1}: {found.scores[index]:.2f}"
    label.pose.position = to_point(center)
    label.scale.z = float(np.clip(np.ptp(box.reshape(2, 3), axis=0).max() / 4, 0.02, 0.2))
    outline = _marker(header, "box", index + 1, type=Marker.LINE_LIST, color=_color(color, 1.0))
    outline.points = _points(_corners(box)[np.ravel(EDGES)])
    outline.scale.x = 0.003
    shape = _marker(header, "polygon", index + 1, type=Marker.TRIANGLE_LIST, color=_color(color, 0.4))
    vertices, faces = polygon(center, found.rays[index], rays, found.rotation)
    shape.points = _points(vertices[faces.ravel()])
    shape.scale.x = shape.scale.y = shape.scale.z = 1.0
    return [label, outline, shape]


def _marker(header: Header, namespace: str, number: int, **fields: object) -> Marker:
    """A marker that stays until it is replaced or deleted: its lifetime is 0."""
    marker = Marker(header=header, ns=namespace, id=number, **fields)
    marker.pose.orientation.w = 1.0
    return marker


def _corners(box: np.ndarray) -> np.ndarray:
    """(6,) minimum, maximum -> (8, 3)."""
    chosen = (np.arange(8)[:, None] >> np.array([2, 1, 0]) & 1).astype(bool)
    return np.where(chosen, box[3:], box[:3])


def _points(xyz: np.ndarray) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in xyz.astype(float).tolist()]


def _color(rgb: Iterable[float], alpha: float) -> ColorRGBA:
    red, green, blue = map(float, rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
