# SPDX-License-Identifier: Apache-2.0
"""What a person types: `sphmask segment`, `view`, `simulate`, `eval`, `convert`, `bench`, `info`."""
