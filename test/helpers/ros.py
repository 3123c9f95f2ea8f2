# SPDX-License-Identifier: Apache-2.0
"""What tests of the node share: a scene, its message, calls of services."""

import time
from contextlib import contextmanager

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.parameter_client import AsyncParameterClient
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.runtime.units import NS_PER_SECOND
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_ros.conversions import write_points
from test.helpers.patience import TIMEOUT

ASK_AGAIN = 2.0
"""Seconds after which a request is taken for lost."""
STAY_AWAY = 1.0
"""Seconds in which markers that are gone must not come back."""
SCENE = simulate_cloud(1, 160, 120)


def header(second):
    return Header(frame_id="tilted_camera", stamp=Time(sec=second, nanosec=123_456_789))


def ns(seconds):
    """Whole nanoseconds."""
    return round(seconds * NS_PER_SECOND)


def pose(x, degrees):
    """(4, 4): x meters along x, and turned about z."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    matrix[0, 3] = x
    return matrix


def scene_message(second=1):
    return write_points(header(second), cloud_points(SCENE))


def small_message(second=1):
    """Small enough for one packet: what is only sent once arrives."""
    return write_points(header(second), cloud_points(SCENE).reshape(1, -1)[:, ::10])


def ask_patiently(player, cloud):
    """The answer to a cloud that may be sent before the other side listens."""
    for _ in range(TIMEOUT // 5):
        try:
            return player.ask(cloud, 5.0)
        except TimeoutError:
            continue
    return player.ask(cloud, 5.0)


def wait_until(asker, condition):
    """Let a node hear what comes until a condition holds."""
    limit = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < limit
        rclpy.spin_once(asker, timeout_sec=0.1)


def wait_for(asker, future):
    rclpy.spin_until_future_complete(asker, future, timeout_sec=TIMEOUT)
    assert future.done()
    return future.result()


def call(asker, kind, name, node="", **fields):
    """The response of a service of a node with a lifecycle; node: its name, where the service's is longer."""
    with client_of(asker, kind, name) as client:
        wait_until_answerable(asker, node or name.rpartition("/")[0])
        return wait_for(asker, client.call_async(kind.Request(**fields)))


@contextmanager
def client_of(asker, kind, name):
    """A client whose service is there; it goes with the block."""
    client = asker.create_client(kind, name)
    try:
        assert client.wait_for_service(TIMEOUT), name
        yield client
    finally:
        asker.destroy_client(client)


def wait_until_answerable(asker, node):
    """Until the node knows all clients that this process has made; before, what it answers is lost.

    A process hears of another's readers in the order in which they were made: a node that reaches the client
    made last, knows those made before.
    """
    with client_of(asker, GetState, f"{node}/get_state") as client:
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            future = client.call_async(GetState.Request())
            rclpy.spin_until_future_complete(asker, future, timeout_sec=ASK_AGAIN)
            if future.done():
                return
    raise AssertionError(f"{node} answers nothing")


def change_state(asker, node, transition):
    """Whether a lifecycle transition succeeded, by its name."""
    number = getattr(Transition, f"TRANSITION_{transition.upper()}")
    return call(asker, ChangeState, f"{node}/change_state", transition=Transition(id=number)).success


def state(asker, node):
    return call(asker, GetState, f"{node}/get_state").current_state.label


def parameter_client(asker, node):
    """A client of the node's parameters which the node knows."""
    client = AsyncParameterClient(asker, node)
    assert client.wait_for_services(TIMEOUT), node
    wait_until_answerable(asker, node)
    return client


def set_parameters(asker, client, **values):
    """Results of setting each parameter by itself."""
    return wait_for(
        asker, client.set_parameters([rclpy.Parameter(n, value=v) for n, v in values.items()])
    ).results


@contextmanager
def markers_go(asker, node):
    """Whatever stands in the block, all markers of the node have to be gone after it, and stay away."""
    heard = []
    subscription = asker.create_subscription(MarkerArray, f"{node}/markers", heard.append, 10)
    wait_until_answerable(asker, node)
    assert Marker.ADD in {marker.action for marker in ask_patiently(asker, small_message()).markers.markers}
    yield
    limit = time.monotonic() + TIMEOUT
    while not heard or [marker.action for marker in heard[-1].markers] != [Marker.DELETEALL]:
        assert time.monotonic() < limit, heard
        rclpy.spin_once(asker, timeout_sec=0.1)
    gone, limit = len(heard), time.monotonic() + STAY_AWAY
    while time.monotonic() < limit:
        rclpy.spin_once(asker, timeout_sec=0.1)
    assert len(heard) == gone, heard[gone:]
    asker.destroy_subscription(subscription)
