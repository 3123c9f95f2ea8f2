# SPDX-License-Identifier: Apache-2.0
"""What the machine needs: devices, threads, memory, timing, files that are whole."""
