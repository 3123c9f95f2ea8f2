# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
from sphmask_ros.parameters import Parameters

ROOT = Path(__file__).parents[2]


def test_the_parameters_file_holds_the_defaults():
    stored = yaml.safe_load((ROOT / "config" / "segment_node.yaml").read_text())
    assert stored["/**"]["ros__parameters"] == dataclasses.asdict(Parameters())


@pytest.mark.parametrize(
    "values",
    [{"min_score": float("nan")}, {"min_score": 1.5}, {"reliability": "sometimes"}, {"device": "tpu"}],
)
def test_bad_values_are_named(values):
    (name,) = values
    with pytest.raises(ValueError, match=name):
        Parameters(**values)
