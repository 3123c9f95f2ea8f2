# SPDX-License-Identifier: Apache-2.0
"""Rooms as depth cameras see them: furnished, cluttered, scanned by a walker or seen in a single frame."""
