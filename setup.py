# SPDX-License-Identifier: Apache-2.0
"""Builds the C++ extension; everything else about the package stands in pyproject.toml."""

import os
from pathlib import Path

from setuptools import Extension, setup

# Built on the machine that runs it; SPHMASK_MARCH=x86-64-v3 makes a build that travels.
march = os.environ.get("SPHMASK_MARCH", "native")
sources = sorted(str(path) for path in Path("sphmask_core/native").glob("*.cpp"))

setup(
    ext_modules=[
        Extension(
            "sphmask_core.native._native",
            sources=sources,
            depends=sorted(str(path) for path in Path("sphmask_core/native").glob("*.h")),
            language="c++",
            extra_compile_args=["-std=c++17", "-O3", f"-march={march}", "-fopenmp", "-Wall", "-Wextra"],
            extra_link_args=["-fopenmp"],
        )
    ]
)
