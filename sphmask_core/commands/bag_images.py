# SPDX-License-Identifier: Apache-2.0
"""The topics of an RGB-D camera in a bag, as `sphmask segment --depth-topic` names them."""

from __future__ import annotations

import argparse
from pathlib import Path

from sphmask_core.bags.files import open_bag
from sphmask_core.bags.topics import INFOS, ImageTopics
from sphmask_core.messages.images import info_beside


def image_topics(path: Path, options: argparse.Namespace) -> ImageTopics | None:
    """Returns the topics that were asked for; None where clouds are to be segmented."""
    if options.depth_topic is None:
        if options.color_topic or options.info_topic or options.color_info_topic:
            raise ValueError("--color-topic, --info-topic and --color-info-topic go with --depth-topic")
        return None
    if options.topic:
        raise ValueError("give either --topic, of clouds, or --depth-topic")
    color_info = options.color_info_topic
    if options.color_topic and color_info is None:
        beside = info_beside(options.color_topic)
        with open_bag(path) as bag:
            color_info = beside if bag.topics.get(beside) in INFOS else None
    info = options.info_topic or info_beside(options.depth_topic)
    return ImageTopics(options.depth_topic, info, options.color_topic, color_info)
