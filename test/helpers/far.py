# SPDX-License-Identifier: Apache-2.0
"""A scene near its frame's origin and the same in UTM coordinates: what is found must be the same, moved."""

import numpy as np

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.coordinates import OUTSIDE
from sphmask_core.messages.pointcloud2 import cloud_points, write_points
from sphmask_core.simulation.scenes import simulate_cloud

UTM = np.array([4e5, 5.4e6, 100.0])
"""Meters, whole ones: a float64 sum with these and back is exact for what was float32."""
MILLIMETER = 1e-3


def near_scene(offset=UTM):
    """A simulated table as far from the sensor, and where from it, as a cloud moved by the offset is taken to
    be."""
    scene = simulate_cloud(1, 160, 120)
    place = np.copysign(OUTSIDE, offset) * (1, 1, 0) - (0, 0, OUTSIDE)
    xyz = scene.xyz - np.nanmedian(scene.xyz, axis=0) + place
    return Cloud(xyz.astype(np.float32), scene.rgb, None, scene.shape)


def far_scene(offset=UTM):
    """The same, moved by an offset (3,), float64."""
    near = near_scene(offset)
    return Cloud(near.xyz + offset, near.rgb, None, near.shape)


def two_messages(make, header, offset=UTM):
    """The near and the far scene as messages."""
    return [write_points(make, header, cloud_points(scene(offset))) for scene in (near_scene, far_scene)]


def check_moved(near, far, offset=UTM, same_ids=True):
    """The instances of two messages are the same, the far one's moved by an offset, to a millimeter."""
    assert len(near.instances) > 3
    np.testing.assert_array_equal(near.point_indices, far.point_indices)
    for one, other in zip(near.instances, far.instances, strict=True):
        assert (one.class_name, one.first_point) == (other.class_name, other.first_point)
        assert not same_ids or (one.id, one.support) == (other.id, other.support)
        assert abs(one.score - other.score) < 1e-5 and abs(one.height - other.height) < MILLIMETER
        np.testing.assert_allclose(positions(other), positions(one) + offset, rtol=0, atol=MILLIMETER)
        np.testing.assert_allclose(vector(other.size), vector(one.size), rtol=0, atol=MILLIMETER)


def positions(instance):
    """(4, 3): all that says where an instance is."""
    return np.array(
        [
            vector(place)
            for place in (instance.center, instance.box_min, instance.box_max, instance.box.position)
        ]
    )


def vector(message):
    """(3,) of a message with x, y and z."""
    return np.array([message.x, message.y, message.z])
