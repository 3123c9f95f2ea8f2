# SPDX-License-Identifier: Apache-2.0
"""Training: data sets, augmentation, losses, the run, and the preparation of raw data."""
