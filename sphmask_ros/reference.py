# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/ros.md and the parameters file from the code: python -m sphmask_ros.reference"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from sphmask_ros.outputs import OUTPUTS
from sphmask_ros.parameters import Parameters

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ros.md"
"""The page that has the tables, between the lines BEGIN and END."""
BEGIN, END = "<!-- node: written by python -m sphmask_ros.reference -->", "<!-- end of node -->"
INPUTS = {
    "points": (
        "sensor_msgs/PointCloud2",
        "Any layout with x, y, z; colors from `rgb`, `rgba` or three fields.",
    ),
    "depth": (
        "sensor_msgs/Image, or CompressedImage",
        "With `input: rgbd`: 16UC1 or mono16 in millimeters, 32FC1 in meters; image_transport's "
        "compressedDepth (PNG).",
    ),
    "camera_info": ("sensor_msgs/CameraInfo", "Of the depth image, which is taken as rectified."),
    "color": (
        "sensor_msgs/Image, or CompressedImage",
        "rgb8, bgr8, rgba8, bgra8, mono8, 8UC1, 8UC3; JPEG or PNG; may be missing.",
    ),
    "color_info": (
        "sensor_msgs/CameraInfo",
        "Of the color image, where its pixels are not those of the depth image.",
    ),
    "odometry": (
        "nav_msgs/Odometry",
        "Where a frame is, beside TF; for `fixed_frame` and `target_frame`.",
    ),
}
REPORTS = {
    "/diagnostics": (
        "diagnostic_msgs/DiagnosticArray",
        "Each second: state, rate, latency from stamps, losses, last error; STALE when no cloud comes.",
    ),
}
SERVICES = {
    "~/enable": ("std_srvs/SetBool", "Whether clouds are looked at; the model stays loaded."),
    "~/get_instance_cloud": (
        "sphmask_ros/GetInstanceCloud",
        "The points of an object, by its id, in the newest cloud that was segmented.",
    ),
    "~/load_model": ("sphmask_ros/LoadModel", "Another model in the place of the one at hand, if it loads."),
}


def tables() -> str:
    """Returns the topics, services and parameters as Markdown."""
    topics = {f"{name} (in)": row for name, row in INPUTS.items()}
    topics |= {f"~/{name}": row for name, row in OUTPUTS.items()} | REPORTS
    parameters = {
        f"{field.name}": (f"`{_value(field.default)}`", _meaning(field))
        for field in dataclasses.fields(Parameters)
    }
    return "\n\n".join(
        [
            _table(("topic", "type", ""), topics),
            _table(("service", "type", ""), SERVICES),
            _table(("parameter", "default", ""), parameters),
        ]
    )


def parameters_file() -> str:
    """Returns the parameters file: every parameter at its default, with its meaning."""
    lines = ["# Parameters of the node `segment`, each at its default.", "/**:", "  ros__parameters:"]
    for field in dataclasses.fields(Parameters):
        lines += [f"    # {_meaning(field)}", f"    {field.name}: {_value(field.default)}"]
    return "\n".join(lines) + "\n"


def inserted(text: str) -> str:
    """Returns the text of docs/ros.md with its tables replaced."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}"


def _table(head: tuple[str, str, str], rows: dict[str, tuple[str, str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- |"]
    lines += [
        f"| `{name.replace(' (in)', '')}`{' (in)' * ('(in)' in name)} | {kind} | {text} |"
        for name, (kind, text) in rows.items()
    ]
    return "\n".join(lines)


def _meaning(field: dataclasses.Field) -> str:
    limits = field.metadata["limits"]
    span = " {} to {}.".format(*limits["range"]) if "range" in limits else ""
    choices = f" Of {', '.join(limits['choices'])}." if "choices" in limits else ""
    return f"{field.metadata['description']}{span}{choices} Set {field.metadata['when']}."


def _value(default: Any) -> str:
    """Returns a value as YAML has it."""
    value = list(default) if isinstance(default, tuple) else default
    return yaml.safe_dump(value, default_flow_style=True, width=200).replace("...", "").strip()


def main() -> None:
    """Write both files."""
    PAGE.write_text(inserted(PAGE.read_text()))
    (ROOT / "config" / "segment_node.yaml").write_text(parameters_file())


if __name__ == "__main__":
    main()
