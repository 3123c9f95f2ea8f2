# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from sphmask_ros.parameters import Parameters
from sphmask_ros.reference import inserted, parameters_file

ROOT = Path(__file__).parents[2]


def test_parameters_file_and_readme_are_what_the_code_says():
    text = (ROOT / "config" / "segment_node.yaml").read_text()
    assert text == parameters_file()
    stored = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert Parameters(**stored) == Parameters()
    assert list(stored) == [field.name for field in dataclasses.fields(Parameters)]
    readme = (ROOT / "README.md").read_text()
    assert inserted(readme) == readme


@pytest.mark.parametrize(
    "values",
    [
        {"min_score": float("nan")},
        {"min_score": 1.5},
        {"track_memory": float("inf")},
        {"reliability": "sometimes"},
        {"device": "tpu"},
        {"outputs": ["labels"]},
        {"track": None},
        {"up": "down"},
    ],
)
def test_bad_values_are_named(values):
    (name,) = values
    with pytest.raises(ValueError, match=name):
        Parameters(**values)


def test_parameters_that_exclude_each_other_are_refused_together():
    assert Parameters(up="y") and Parameters(fixed_frame="odom")
    with pytest.raises(ValueError, match="up is y, but z of fixed_frame odom"):
        Parameters(up="y", fixed_frame="odom")
