# SPDX-License-Identifier: Apache-2.0
"""Weights: our own files, and the published ones under our names."""
