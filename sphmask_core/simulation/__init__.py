# SPDX-License-Identifier: Apache-2.0
"""Simulated worlds, and the sensors that see them."""
