# SPDX-License-Identifier: Apache-2.0
"""Tests, in folders as the package has them; `helpers` holds what several of them share."""
