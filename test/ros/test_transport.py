# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profiles that we ship are read by this distribution's Fast DDS, and say the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")

from benchmarks.transport import PROFILE, VARIABLE, VARIABLES
from sphmask_ros.transport import use_profile

CONFIG = Path(__file__).parents[2] / "config"
RENAMED = {"heartbeatPeriod": "heartbeat_period"}
"""Elements as Fast DDS 2 calls them, and 3."""


def test_the_profile_of_this_distribution_is_read_without_a_complaint(domain):
    """Fast DDS refuses all of a profile for one element that it does not know, in lines on stderr alone."""
    code = "import rclpy; rclpy.init(); rclpy.create_node('reader'); rclpy.try_shutdown()"
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {VARIABLE: str(PROFILE), "ROS_DOMAIN_ID": str(domain)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert "XML" not in done.stdout + done.stderr


def test_the_profile_is_used_unless_another_one_was_named(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    use_profile(CONFIG)
    assert Path(os.environ[VARIABLE]).samefile(PROFILE)
    monkeypatch.delenv(VARIABLE)
    for name in VARIABLES:
        monkeypatch.setenv(name, "mine.xml")
        use_profile(CONFIG)
        assert [os.environ[other] for other in VARIABLES if other in os.environ] == ["mine.xml"]
        monkeypatch.delenv(name)


def test_both_profiles_say_the_same_in_the_words_of_their_version():
    old, new = (without_comments((CONFIG / name).read_text()) for name in ("fastdds2.xml", "fastdds.xml"))
    for before, after in RENAMED.items():
        assert before in old
        assert after not in old
        old = old.replace(before, after)
    assert old == new


def without_comments(text):
    return re.sub("<!--.*?-->", "", text, flags=re.DOTALL)
