# SPDX-License-Identifier: Apache-2.0
"""Where Triton's kernels run in tests: on a GPU where there is one, else on Triton's interpreter.

To be imported before Triton and our modules of kernels are.
"""

import os

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ.setdefault("TRITON_INTERPRET", "1")
