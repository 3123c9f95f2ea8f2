# SPDX-License-Identifier: Apache-2.0
"""Pictures of clouds and of what is found in them, without a display."""
