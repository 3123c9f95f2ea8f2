# SPDX-License-Identifier: Apache-2.0
"""Spherical Mask as a ROS 2 node; the messages (sphmask_ros.msg) come from the install space of colcon."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
