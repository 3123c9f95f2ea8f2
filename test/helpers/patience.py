# SPDX-License-Identifier: Apache-2.0
"""How long tests wait for what comes for certain, but at a time that the machine decides."""

TIMEOUT = 120
"""Seconds for what takes one or two where nothing else runs: machines of CI are slow, and shared."""
