# SPDX-License-Identifier: Apache-2.0
"""Scores of what is found on labeled scenes, as each benchmark defines them."""
