# SPDX-License-Identifier: Apache-2.0
"""Bags of clouds in UTM coordinates, by the command line: what is found is what is found near, moved."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra `bags`")
from rosbags.rosbag2 import Reader

from sphmask_core.bags.answers import read_answers
from sphmask_core.bags.segment import OUTPUTS
from sphmask_core.commands import cli
from sphmask_core.messages.pointcloud2 import read_cloud_message
from test.helpers.bags import CLOUD, PERIOD, START, TOPIC, write_folder
from test.helpers.far import MILLIMETER, UTM, check_moved, far_scene, two_messages

INSTANCES, POINTS = "/segment/instances", "/segment/labelled_points"


@pytest.fixture(scope="module")
def segmented(tmp_path_factory, definitions, balls_weights):
    """The folders of two bags with a scene twice, near and far, that the command line has segmented."""
    folder = tmp_path_factory.mktemp("far")
    header = definitions.make("std_msgs/Header", frame_id="map")
    for name, sent in zip(("near", "far"), two_messages(definitions.make, header), strict=True):
        rows = []
        for second in range(2):
            sent.header.stamp.sec = second
            now = START + second * PERIOD
            rows.append((TOPIC, CLOUD, now, now, definitions.write(CLOUD, sent)))
        write_folder(folder / f"{name}.in", rows, definitions)
        command = ["segment", str(folder / f"{name}.in"), "-o", str(folder / name)]
        assert cli.main([*command, "--model", str(balls_weights)]) == 0
    return folder / "near", folder / "far"


def sent_on(path, topic, definitions):
    with Reader(path) as reader:
        return [
            definitions.read(OUTPUTS[topic], data) for c, _, data in reader.messages() if c.topic == topic
        ]


def test_instances_are_moved(segmented, definitions):
    near, far = (sent_on(path, INSTANCES, definitions) for path in segmented)
    for one, other in zip(near, far, strict=True):
        check_moved(one, other)
    assert [instance.state for instance in far[1].instances] == [1] * len(far[1].instances)  # kept


def test_points_are_as_they_came(segmented, definitions):
    points, _ = sent_on(segmented[1], POINTS, definitions)
    np.testing.assert_array_equal(read_cloud_message(points).xyz, far_scene().xyz)


def test_answers_are_read_back(segmented):
    near, far = (next(read_answers(path)) for path in segmented)
    np.testing.assert_array_equal(near.labels, far.labels)
    np.testing.assert_allclose(far.box_centers, near.box_centers + UTM, rtol=0, atol=MILLIMETER)
