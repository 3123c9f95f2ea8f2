# SPDX-License-Identifier: Apache-2.0
"""Instances as RViz markers: name and score above the box, box, spherical polygon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sphmask_core.messages import Make
from sphmask_core.method.instances import Instances
from sphmask_core.method.spherical import polygon
from sphmask_core.palette import BRIGHTEST, object_colors
from sphmask_core.placement import Placements
from sphmask_core.tracking import Tracks

DELETE, LINE_LIST, TEXT_VIEW_FACING, TRIANGLE_LIST = 2, 5, 9, 11
"""visualization_msgs/Marker's action and types."""

CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
"""Corners of a box about its middle, in its edges."""
EDGES = np.array(
    [(0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (0, 4), (1, 5), (2, 6), (3, 7)]
)
"""Edges of a box between its corners."""

LETTERS = 6
"""Heights of a letter that the longest edge of a box has: text about as wide as the object."""
SMALLEST_LETTER, LARGEST_LETTER = 0.02, 0.2
"""Meters: heights of letters that can be read beside small objects, and do not hide large ones."""
LINE_WIDTH = 0.003
"""Meters."""
OPACITY = 0.4
"""Opacity of polygons, through which the cloud can be seen."""


class InstanceMarkers:
    """Makes the marker array of each frame, which also deletes what only the frame before showed."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._shown: set[tuple[str, int]] = set()

    def update(
        self, header: Any, instances: Instances, tracks: Tracks, placed: Placements, rays: tuple[int, int]
    ) -> Any:
        """Returns the markers of namespace label, box and polygon under the objects' ids, and deletions.

        `rays` are the polar and azimuth sectors of the instances' rays.
        """
        markers = [
            marker
            for index, number in enumerate(tracks.ids.astype(np.int32))
            for marker in _instance_markers(self._make, header, instances, placed, index, int(number), rays)
        ]
        shown = {(marker.ns, marker.id) for marker in markers}
        stale = [_marker(self._make, header, *key, action=DELETE) for key in sorted(self._shown - shown)]
        self._shown = shown
        return self._make("visualization_msgs/MarkerArray", markers=stale + markers)


def _instance_markers(
    make: Make,
    header: Any,
    instances: Instances,
    placed: Placements,
    index: int,
    number: int,
    rays: tuple[int, int],
) -> list[Any]:
    middle, size, axes = placed.centers[index], placed.sizes[index], placed.rotations[index]
    color = object_colors(np.array([number]))[0] / BRIGHTEST
    label = _marker(make, header, "label", number, type=TEXT_VIEW_FACING, color=_color(make, (1, 1, 1), 1.0))
    label.text = f"{instances.class_names[index]} {number}: {instances.scores[index]:.2f}"
    height = min(max(float(size.max()) / LETTERS, SMALLEST_LETTER), LARGEST_LETTER)
    above = middle + axes[:, 2] * (size[2] + height) / 2
    label.pose.position = _points(make, above[None], [0])[0]
    label.scale.x, label.scale.z = height / 2, height  # x: of a space, which RViz else makes very wide
    outline = _marker(make, header, "box", number, type=LINE_LIST, color=_color(make, color, 1.0))
    outline.points = _points(make, middle + (CORNERS * size) @ axes.T, EDGES)
    outline.scale.x = LINE_WIDTH
    shape = _marker(make, header, "polygon", number, type=TRIANGLE_LIST, color=_color(make, color, OPACITY))
    vertices, faces = polygon(instances.centers[index], instances.rays[index], rays, instances.rotation)
    shape.points = _points(make, vertices, faces)
    shape.scale.x = shape.scale.y = shape.scale.z = 1.0
    return [label, outline, shape]


def _marker(make: Make, header: Any, namespace: str, number: int, **fields: Any) -> Any:
    """Returns a marker that stays until it is replaced or deleted: its lifetime is 0."""
    marker = make("visualization_msgs/Marker", header=header, ns=namespace, id=number, **fields)
    marker.pose.orientation.w = 1.0
    return marker


def _points(make: Make, xyz: np.ndarray, places: ArrayLike) -> list[Any]:
    """Returns points of xyz (V, 3) at places in it; those of one place are one object, made once."""
    vertices = [make("geometry_msgs/Point", x=x, y=y, z=z) for x, y, z in xyz.astype(float).tolist()]
    return [vertices[place] for place in np.ravel(places).tolist()]


def _color(make: Make, rgb: Iterable[float], alpha: float) -> Any:
    red, green, blue = map(float, rgb)
    return make("std_msgs/ColorRGBA", r=red, g=green, b=blue, a=alpha)
