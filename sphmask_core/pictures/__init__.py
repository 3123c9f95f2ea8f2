# SPDX-License-Identifier: Apache-2.0
"""Pictures of clouds and of the instances in them, without a display."""
