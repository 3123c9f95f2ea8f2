# SPDX-License-Identifier: Apache-2.0
"""Seeded requests for each of the node's services: made to break it, or good ones with damaged bytes.

Nothing ends the node's life on purpose: transitions to its end are left out.
"""

from __future__ import annotations

import dataclasses
import math
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.serialization import deserialize_message, serialize_message
from sphmask_ros.srv import GetInstanceCloud, LoadModel
from std_srvs.srv import SetBool

from sphmask_ros.parameters import Parameters
from test.hostile.mutations import mutated

NAMES = [*(field.name for field in dataclasses.fields(Parameters)), "use_sim_time"]
NUMBERS = [0.0, -1.0, 1e-320, 1e300, math.inf, -math.inf, math.nan, 0.5, 7.0]
INTEGERS = [0, -1, 1, 2**31, 2**63 - 1, -(2**63)]
TEXTS = ["", "auto", "cpu", "cuda:99", "odom", "a\nb", "\x1b[2J", "\ufffe", "{}", "/", "..", "x" * 100_000]
TYPES = [*range(12), 255]
"""Those of a ParameterValue, and some that it has not."""
ENDS = range(5, 9)
"""Transitions to the end of a node's life: shut down, from three states, and destroy."""
CHANCE_OF_DAMAGE = 0.3


def requests(models: list[str]) -> dict[type, Callable[[random.Random], Any]]:
    """Returns for each kind of service what makes a request of it; models: names for `load_model`."""
    return {
        SetParameters: lambda draw: SetParameters.Request(parameters=_parameters(draw)),
        SetParametersAtomically: lambda draw: SetParametersAtomically.Request(parameters=_parameters(draw)),
        GetParameters: lambda draw: GetParameters.Request(names=_names(draw)),
        DescribeParameters: lambda draw: DescribeParameters.Request(names=_names(draw)),
        ListParameters: lambda draw: ListParameters.Request(
            prefixes=_names(draw), depth=draw.choice([0, 1, 2**64 - 1])
        ),
        LoadModel: lambda draw: LoadModel.Request(model=draw.choice([models[0], *draw.choices(models, k=3)])),
        GetInstanceCloud: lambda draw: GetInstanceCloud.Request(id=draw.choice([0, 1, 2, 65_536, 2**32 - 1])),
        SetBool: lambda draw: SetBool.Request(data=draw.random() < 0.5),
        ChangeState: _transition,
    }


def damaged(request: Any, draw: random.Random) -> Any:
    """Returns the request, or what its bytes are after damage; the request where they are no message."""
    if draw.random() >= CHANCE_OF_DAMAGE:
        return request
    try:
        read = deserialize_message(mutated(serialize_message(request), draw), type(request))
        serialize_message(read)
    except Exception:  # the middleware's own, which it raises before anything is sent
        return request
    ends = isinstance(read, ChangeState.Request) and read.transition.id in ENDS
    return request if ends else read


def hostile_models(folder: Path, weights: Path) -> list[str]:
    """Returns names that are no models, most of them of files in a folder, and the one that is."""
    (folder / "linked.safetensors").symlink_to("/dev/zero")
    (folder / "empty.safetensors").touch()
    os.mkfifo(folder / "fifo.safetensors")
    os.mkfifo(folder / "fifo.pth")
    (folder / "folder.safetensors").mkdir()
    content, draw = weights.read_bytes(), random.Random(0)
    for number in range(20):
        suffix = draw.choice([".safetensors", ".pth"])
        (folder / f"damaged{number}{suffix}").write_bytes(mutated(content, draw))
    absent = ["/dev/zero", "/proc/self/mem", "/proc/self/environ", "../../etc/passwd", "/nothing.pth"]
    return [str(weights), *map(str, sorted(folder.iterdir())), *absent, *TEXTS]


def _parameters(draw: random.Random) -> list[Parameter]:
    return [Parameter(name=_name(draw), value=_value(draw)) for _ in range(draw.randint(0, 3))]


def _names(draw: random.Random) -> list[str]:
    return [_name(draw) for _ in range(draw.randint(0, 3))]


def _name(draw: random.Random) -> str:
    return draw.choice(NAMES) if draw.random() < 0.8 else draw.choice(TEXTS)


def _value(draw: random.Random) -> ParameterValue:
    """A value of any type, whose other fields are filled, too."""
    lengths = [0, 1, 2, 6, 1000]
    return ParameterValue(
        type=draw.choice(TYPES),
        bool_value=draw.random() < 0.5,
        integer_value=draw.choice(INTEGERS),
        double_value=draw.choice(NUMBERS),
        string_value=draw.choice(TEXTS),
        byte_array_value=[b"\xff"] * draw.choice(lengths),
        bool_array_value=[True] * draw.choice(lengths),
        integer_array_value=draw.choices(INTEGERS, k=draw.choice(lengths)),
        double_array_value=draw.choices(NUMBERS, k=draw.choice(lengths)),
        string_array_value=draw.choices([*TEXTS[:-1], "markers", "car:0.5"], k=draw.choice(lengths)),
    )


def _transition(draw: random.Random) -> ChangeState.Request:
    """Most of the lifecycle's own, so that the node is often active."""
    if draw.random() < 0.7:
        return ChangeState.Request(transition=Transition(id=draw.choice([1, 1, 1, 2, 3, 3, 3, 4])))
    number = draw.choice([number for number in range(256) if number not in ENDS])
    label = draw.choice(["configure", "activate", "nothing", *TEXTS])
    return ChangeState.Request(transition=Transition(id=number, label=label))
