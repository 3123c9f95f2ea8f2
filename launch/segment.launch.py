# SPDX-License-Identifier: Apache-2.0
"""A camera's or a bag's clouds in, object instances out: ros2 launch sphmask_ros segment.launch.py -s"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition, LaunchConfigurationNotEquals
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("sphmask_ros")
PARAMETERS = {
    "model": "preset's name, or path to weights; empty: what params_file says",
    "device": "auto, cpu, cuda or cuda:N; empty: what params_file says",
    "autostart": "false: wait for a lifecycle manager; empty: what params_file says",
}
ARGUMENTS = {
    "points": ("points", "topic of the clouds"),
    "params_file": (
        PathJoinSubstitution([SHARE, "config", "segment_node.yaml"]),
        "the node's parameters",
    ),
    "rviz": ("false", "true: show the result in RViz"),
    "frame": ("camera_color_optical_frame", "RViz's fixed frame: the clouds' own"),
    "bag": ("", "bag to play in a loop; empty: a live camera"),
    "namespace": ("", "of the node and its topics"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
    "respawn": ("false", "true: start the node again when it has died"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node, and on request a bag and RViz."""
    given = {name: ("", text) for name, text in PARAMETERS.items()} | ARGUMENTS
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in given.items()
    ]
    bag = LaunchConfiguration("bag")
    play = ExecuteProcess(
        cmd=["ros2", "bag", "play", "--loop", bag],
        condition=LaunchConfigurationNotEquals("bag", ""),
        output="screen",
    )
    layout = PathJoinSubstitution([SHARE, "rviz", "segment.rviz"])
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=["-d", layout, "-f", LaunchConfiguration("frame")],
        condition=IfCondition(LaunchConfiguration("rviz")),
        output="screen",
    )
    return LaunchDescription([*arguments, OpaqueFunction(function=_segment), play, rviz])


def _segment(context: LaunchContext) -> list[Node]:
    """The node; a parameter that was given goes before the parameters file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in PARAMETERS}
    values = {name: value for name, value in given.items() if value}
    if "autostart" in values:
        values["autostart"] = values["autostart"].lower() == "true"
    return [
        Node(
            package="sphmask_ros",
            executable="segment_node",
            name="segment",
            namespace=LaunchConfiguration("namespace"),
            parameters=[LaunchConfiguration("params_file"), values],
            remappings=[("points", LaunchConfiguration("points"))],
            ros_arguments=["--log-level", ["segment:=", LaunchConfiguration("log_level")]],
            respawn=LaunchConfiguration("respawn"),
            respawn_delay=1.0,
            output="screen",
        )
    ]
