# SPDX-License-Identifier: Apache-2.0
"""Names the packages and builds the C++ extension; everything else stands in pyproject.toml."""

import os
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithPresets(build_py):
    """Puts the presets into the package; an editable installation reads those of the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "sphmask_core" / "presets"
            self.mkpath(str(folder))
            for path in sorted(set(Path("config").glob("*.yaml")) - {Path("config/segment_node.yaml")}):
                self.copy_file(str(path), str(folder / path.name))


# Built on the machine that runs it; SPHMASK_MARCH=x86-64-v3 makes a build that travels.
march = os.environ.get("SPHMASK_MARCH", "native")
sources = sorted(str(path) for path in Path("sphmask_core/native").glob("*.cpp"))

training = ["sphmask_training", *(f"sphmask_training.{name}" for name in find_packages("training"))]

setup(
    packages=[*find_packages(include=["sphmask_core*"]), *training],
    package_dir={
        "sphmask_training": "training"
    },  # `training` would be too common a name among installed packages
    cmdclass={"build_py": BuildWithPresets},
    ext_modules=[
        Extension(
            "sphmask_core.native._native",
            sources=sources,
            depends=sorted(str(path) for path in Path("sphmask_core/native").glob("*.h")),
            language="c++",
            extra_compile_args=["-std=c++17", "-O3", f"-march={march}", "-fopenmp", "-Wall", "-Wextra"],
            extra_link_args=["-fopenmp"],
        )
    ],
)
