# SPDX-License-Identifier: Apache-2.0
"""The paper: from a cloud to the masks of its instances, one file a step; `model.py` is figure 2."""
