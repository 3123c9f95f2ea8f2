# SPDX-License-Identifier: Apache-2.0
"""What a person types: `sphmask segment`, `view`, `eval`, `convert`, `bench`, `info`."""
