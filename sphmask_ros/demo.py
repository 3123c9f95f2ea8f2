# SPDX-License-Identifier: Apache-2.0
"""Plays clouds over DDS to a node in a process of its own and shows what it finds (make demo)."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rclpy
from ament_index_python.packages import get_package_prefix, get_package_share_directory
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Header

from sphmask_core.bags.bag import BagError
from sphmask_core.bags.kinds import is_bag
from sphmask_core.bags.segment import read_clouds
from sphmask_core.clouds.cloud import SUFFIXES, Cloud, CloudError, read_cloud
from sphmask_core.commands.inputs import clouds_in
from sphmask_core.commands.results import table
from sphmask_core.messages.instances import read_instances, read_tracks
from sphmask_core.messages.pointcloud2 import cloud_points, read_labels
from sphmask_core.pictures.draw import draw_result
from sphmask_core.runtime.process import ended_by
from sphmask_core.runtime.units import MS_PER_SECOND, NS_PER_SECOND
from sphmask_core.simulation.demo import SCENES, DemoScene
from sphmask_core.simulation.tabletop.extra import MissingExtraError
from sphmask_ros.conversions import write_points
from sphmask_ros.player import HEARD, Player
from sphmask_ros.transport import use_profile

SIMULATED = range(7, 12)
"""Seeds of what is simulated when no clouds are given."""
START_TIMEOUT, FRAME_TIMEOUT, STOP_TIMEOUT = 120.0, 60.0, 30.0
"""Seconds for loading the model, for one frame, and for ending after the frame at hand."""


def main() -> int:
    """Returns 0 when every frame was answered and the node ended as it should, 1 when not, 2 for bad
    input."""
    arguments = _arguments()
    try:
        files = [file for path in arguments.clouds for file in _files(path)]
    except (CloudError, BagError) as error:
        return _complain(error, 2)
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    scene = SCENES[arguments.scene]
    node = start_node(arguments.model or scene.model, outputs=f"[{', '.join(HEARD)}]")
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        _play(files, arguments.topic, arguments.picture, node, scene)
    except (CloudError, BagError, MissingExtraError) as error:
        return _complain(error, 2)
    except TimeoutError as error:
        return _complain(error, 1)
    except KeyboardInterrupt:
        return ended_by(signal.SIGINT)
    finally:
        code = stop_node(node)
        rclpy.try_shutdown()
    return int(code != 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clouds", nargs="*", type=Path, help="clouds, folders of them, bags; none: simulated")
    parser.add_argument("--topic", help="clouds of a bag that has several topics of them")
    parser.add_argument(
        "--scene", choices=SCENES, default="table", help="what is simulated (default: %(default)s)"
    )
    parser.add_argument("--model", help="preset's name, or path to weights (default: the scene's preset)")
    parser.add_argument("--picture", type=Path, required=True, help="PNG of the frame with most instances")
    return parser.parse_args()


def _complain(error: Exception, code: int) -> int:
    print(f"demo: {error}", file=sys.stderr)
    return code


def _files(path: Path) -> list[Path]:
    """Returns the cloud files of a folder, or the path itself: a file, or a bag."""
    if not path.exists():
        raise CloudError(f"{path}: no such file; give {', '.join(SUFFIXES)} files, a folder, or a bag")
    return clouds_in(path) if path.is_dir() and not is_bag(path) else [path]


def _frames(files: list[Path], topic: str | None, scene: DemoScene) -> Iterator[tuple[str, Cloud]]:
    """Gives names and clouds, read or simulated as they are asked for."""
    for seed in () if files else SIMULATED:
        yield f"simulated {scene.model} {seed}", scene.simulate(seed)
    for file in files:
        if is_bag(file):
            for stamp, _, cloud in read_clouds(file, topic):
                yield f"{file.name} at {stamp / NS_PER_SECOND:.3f} s", cloud
        else:
            yield file.name, read_cloud(file)


def _play(
    files: list[Path], topic: str | None, picture: Path, node: subprocess.Popen, scene: DemoScene
) -> None:
    player = Player()
    player.wait_until_heard(START_TIMEOUT, running=lambda: node.poll() is None)
    latencies: list[float] = []
    most = -1
    for name, cloud in _frames(files, topic, scene):
        header = Header(frame_id=scene.frame_id, stamp=player.get_clock().now().to_msg())
        answer = player.ask(write_points(header, cloud_points(cloud)), FRAME_TIMEOUT)
        instances = read_instances(answer.instances, read_labels(answer.points))
        ids = read_tracks(answer.instances).ids
        height, width = cloud.shape
        latency = f"{answer.latency * MS_PER_SECOND:.0f} ms"
        print(
            f"{name}: {width} x {height} points, {len(instances)} instances, {latency}{table(instances, ids)}"
        )
        latencies.append(answer.latency * MS_PER_SECOND)
        if len(instances) > most:
            most = len(instances)
            draw_result(picture, cloud, instances, f"{name}, as the node answers: id and score", ids)
    print(f"all {len(latencies)} frames answered; latency median {np.median(latencies):.0f} ms, ", end="")
    print(f"longest {max(latencies):.0f} ms, from publishing a cloud to its labeled points; {picture}")


def start_node(model: str, **parameters: str) -> subprocess.Popen:
    """Returns a node that this process and no other machine hears; to be called before rclpy.init."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    use_profile(Path(get_package_share_directory("sphmask_ros"), "config"))
    executable = Path(get_package_prefix("sphmask_ros"), "lib", "sphmask_ros", "segment_node")
    given = [part for item in parameters.items() for part in ("-p", "{}:={}".format(*item))]
    return subprocess.Popen([sys.executable, executable, "--ros-args", "-p", f"model:={model}", *given])


def stop_node(node: subprocess.Popen) -> int:
    """End the node as Ctrl-C does; returns its exit code."""
    node.send_signal(signal.SIGINT)
    try:
        return node.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        node.kill()
        return node.wait()


if __name__ == "__main__":
    sys.exit(main())
