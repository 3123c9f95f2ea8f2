# SPDX-License-Identifier: Apache-2.0
"""Clouds or RGB-D images in, object instances out: ros2 launch sphmask_ros segment.launch.py -s"""

from difflib import get_close_matches
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, ExecuteProcess, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from sphmask_ros.transport import PROFILE_NAME, VARIABLE, VARIABLES

SHARE = FindPackageShare("sphmask_ros")
PARAMETERS = {
    "model": "preset's name, or path to weights; empty: what params_file says",
    "input": "cloud or rgbd; empty: what params_file says",
    "cameras": "names of cameras that share the model, as [front,rear]; empty: what params_file says",
    "device": "auto, cpu, cuda or cuda:N; empty: what params_file says",
    "autostart": "false: wait for a lifecycle manager; empty: what params_file says",
    "use_sim_time": "true: time comes from /clock, as of a simulator; empty: what params_file says",
}
BOOLEANS = ("autostart", "use_sim_time")
ARGUMENTS = {
    "points": (
        "points",
        "topic of the clouds; with cameras: of each, as [/a,/b], or one below each camera's name",
    ),
    "depth": ("depth", "topic of the depth images, for input:=rgbd"),
    "color": ("color", "topic of the color images; may have no publisher"),
    "camera_info": ("", "of the depth images; empty: beside their topic"),
    "color_info": ("", "camera_info of the color images; empty: beside their topic"),
    "params_file": (
        PathJoinSubstitution([SHARE, "config", "segment_node.yaml"]),
        "the node's parameters",
    ),
    "fastdds_profile": (
        PathJoinSubstitution([SHARE, "config", PROFILE_NAME]),
        "Fast DDS profile with room for clouds in shared memory; none: Fast DDS as it comes",
    ),
    "rviz": ("false", "true: show the result in RViz"),
    "frame": ("camera_color_optical_frame", "RViz's fixed frame: the clouds' own"),
    "bag": ("", "bag to play in a loop; empty: a live camera"),
    "namespace": ("", "of the node and its topics"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": ("false", "true: start the node again when it has died"),
}
TOPICS = ("points", "depth", "color", "camera_info", "color_info")
NO_PROFILE = "none"
"""ros2 launch takes no empty argument on its command line."""


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node, and on request a bag and RViz."""
    given = {name: ("", text) for name, text in PARAMETERS.items()} | ARGUMENTS
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in given.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    """Returns what the arguments ask for. Raises RuntimeError, in one line, for a file that is not there."""
    given = {name: LaunchConfiguration(name).perform(context) for name in (*PARAMETERS, *ARGUMENTS)}
    if given["fastdds_profile"] == NO_PROFILE:
        given["fastdds_profile"] = ""
    for name in ("params_file", "fastdds_profile"):
        if given[name] and not Path(given[name]).is_file():
            raise RuntimeError(f"{name} {given[name]}: no such file")
    actions: list[Action] = [*_misspelled(context), _segment(given, _profile(context, given))]
    if given["bag"]:
        clock = ["--clock"] if _true(given["use_sim_time"]) else []
        play = ["ros2", "bag", "play", "--loop", *clock, given["bag"]]
        actions.append(ExecuteProcess(cmd=play, output="screen"))
    if _true(given["rviz"]):
        actions.append(_rviz(given))
    return actions


def _misspelled(context: LaunchContext) -> list[Action]:
    """Returns a line for each argument that there is not, which ros2 launch takes without a word."""
    known = [*PARAMETERS, *ARGUMENTS]
    names = [argument.split(":=")[0] for argument in context.argv if ":=" in argument]
    lines = []
    for name in names:
        near = get_close_matches(name, known, 1)
        if name not in known:
            hint = f"; did you mean {near[0]}?" if near else "; -s lists those that there are"
            lines.append(LogInfo(msg=f"segment.launch.py has no argument {name}{hint}"))
    return lines


def _profile(context: LaunchContext, given: dict[str, str]) -> dict[str, str]:
    """Returns the environment that gives Fast DDS its profile, where it has none and is what ROS 2 uses."""
    rmw = context.environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    taken = any(name in context.environment for name in VARIABLES)
    if taken or "fastrtps" not in rmw or not given["fastdds_profile"]:
        return {}
    return {VARIABLE: given["fastdds_profile"]}


def _segment(given: dict[str, str], environment: dict[str, str]) -> Node:
    """Returns the node; a parameter that was given goes before the parameters file."""
    values = {name: _parameter(name, given[name]) for name in PARAMETERS if given[name]}
    return Node(
        package="sphmask_ros",
        executable="segment_node",
        name="segment",
        namespace=given["namespace"],
        parameters=[given["params_file"], values],
        remappings=_remappings(given),
        ros_arguments=["--log-level", f"{_logger(given['namespace'])}:={given['log_level']}"],
        additional_env=environment,
        respawn=_true(given["respawn"]),
        respawn_delay=1.0,
        output="screen",
    )


def _logger(namespace: str) -> str:
    """Returns the node's logger, which is called as the node with points for slashes."""
    return ".".join([part for part in namespace.split("/") if part] + ["segment"])


def _remappings(given: dict[str, str]) -> list[tuple[str, str]]:
    """Returns the node's input topics as they are called here."""
    cameras = _list(given["cameras"])
    if not cameras:
        return list(_topics({name: given[name] for name in TOPICS}).items())
    pairs = []
    for number, camera in enumerate(cameras):
        own = {name: _topic_of(name, given[name], cameras, number) for name in TOPICS}
        pairs += [(f"{camera}/{name}", topic) for name, topic in _topics(own, f"{camera}/").items()]
    return pairs


def _topics(given: dict[str, str], prefix: str = "") -> dict[str, str]:
    """Returns the input topics of a camera by their names; a camera_info is the neighbor of its images."""
    for info, images in (("camera_info", "depth"), ("color_info", "color")):
        given[info] = given[info] or _beside(given[images]) or f"{prefix}{info}"
    return given


def _topic_of(name: str, value: str, cameras: list[str], number: int) -> str:
    """Returns a camera's topic. Raises RuntimeError, in one line, where there are not as many as cameras."""
    if value.startswith("["):
        topics = _list(value)
        if len(topics) != len(cameras):
            raise RuntimeError(f"{name} has {len(topics)} topics for {len(cameras)} cameras")
        return topics[number]
    if value.startswith("/"):
        raise RuntimeError(f"{name} {value} is one topic for all cameras; give each its own, as [/a,/b]")
    return f"{cameras[number]}/{value}" if value else ""


def _list(text: str) -> list[str]:
    """Returns the items of [a,b]."""
    return [item.strip() for item in text.strip("[] ").split(",") if item.strip()]


def _beside(images: str) -> str:
    """Returns the camera_info of a topic of images, as image_transport has it; empty without a folder."""
    for transport in ("/compressedDepth", "/compressed"):
        images = images.removesuffix(transport)
    namespace, slash, _ = images.rpartition("/")
    return f"{namespace}/camera_info" if slash else ""


def _parameter(name: str, text: str) -> bool | str | list[str]:
    if name in BOOLEANS:
        return _true(text)
    return _list(text) if name == "cameras" else text


def _rviz(given: dict[str, str]) -> Node:
    layout = PathJoinSubstitution([SHARE, "rviz", "segment.rviz"])
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        arguments=["-d", layout, "-f", given["frame"]],
        output="screen",
    )


def _true(text: str) -> bool:
    return text.lower() in ("true", "1", "yes", "on")
