# SPDX-License-Identifier: Apache-2.0
"""Recordings of ROS topics: reading, and writing what is found beside them; without ROS."""
