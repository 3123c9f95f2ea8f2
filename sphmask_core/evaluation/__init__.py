# SPDX-License-Identifier: Apache-2.0
"""Scores of predicted instances on labeled scenes, as each benchmark defines them."""
