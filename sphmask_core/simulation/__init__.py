# SPDX-License-Identifier: Apache-2.0
"""Worlds made by rule and the sensors that see them."""
