# SPDX-License-Identifier: Apache-2.0
"""Point clouds and labeled scenes: reading, writing, prepared data sets."""
