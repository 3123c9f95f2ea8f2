# SPDX-License-Identifier: Apache-2.0
"""A camera's or a bag's clouds in, object instances out: ros2 launch sphmask_ros segment.launch.py -s"""

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("sphmask_ros")
PARAMETERS = {
    "model": "preset's name, or path to weights; empty: what params_file says",
    "device": "auto, cpu or cuda; empty: what params_file says",
}
ARGUMENTS = PARAMETERS | {
    "points": "topic of the clouds",
    "bag": "bag to play in a loop; empty: a live camera",
    "rviz": "true: show the result in RViz",
    "frame": "RViz's fixed frame: the clouds' own",
    "params_file": "the node's parameters",
}
DEFAULTS = {
    "points": "points",
    "rviz": "false",
    "frame": "camera_color_optical_frame",
    "params_file": PathJoinSubstitution([SHARE, "config", "segment_node.yaml"]),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments, the node, and on request a bag and RViz."""
    arguments = [
        DeclareLaunchArgument(name, default_value=DEFAULTS.get(name, ""), description=text)
        for name, text in ARGUMENTS.items()
    ]
    layout = PathJoinSubstitution([SHARE, "rviz", "segment.rviz"])
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", layout, "-f", LaunchConfiguration("frame")],
        condition=IfCondition(LaunchConfiguration("rviz")),
        output="screen",
    )
    return LaunchDescription(
        [*arguments, OpaqueFunction(function=_segment), OpaqueFunction(function=_bag), rviz]
    )


def _segment(context: LaunchContext) -> list[Node]:
    """The node; an argument that was given goes before the parameters file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in PARAMETERS}
    return [
        Node(
            package="sphmask_ros",
            executable="segment_node",
            name="segment",
            parameters=[
                LaunchConfiguration("params_file"),
                {name: value for name, value in given.items() if value},
            ],
            remappings=[("points", LaunchConfiguration("points"))],
            output="screen",
        )
    ]


def _bag(context: LaunchContext) -> list[ExecuteProcess]:
    bag = LaunchConfiguration("bag").perform(context)
    command = ["ros2", "bag", "play", "--loop", bag]
    return [ExecuteProcess(cmd=command, output="screen")] if bag else []
