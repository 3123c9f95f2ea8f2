# SPDX-License-Identifier: Apache-2.0
"""Raw data sets as their own tools write them: a module each.

`find(options) -> list[Source]` says what there is to prepare; a source's `read` gives its scenes.
"""
