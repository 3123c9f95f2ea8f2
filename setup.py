# SPDX-License-Identifier: Apache-2.0
"""Names the packages and builds the C++ kernels; everything else stands in pyproject.toml."""

import runpy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

NATIVE = Path("sphmask_core/native")
levels = runpy.run_path(str(NATIVE / "levels.py"))


class BuildWithPresets(build_py):
    """Puts the presets into the package; an editable installation reads those of the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            folder = Path(self.build_lib) / "sphmask_core" / "presets"
            self.mkpath(str(folder))
            for path in sorted(set(Path("config").glob("*.yaml")) - {Path("config/segment_node.yaml")}):
                self.copy_file(str(path), str(folder / path.name))


class BuildLevels(build_ext):
    """Compiles the same sources for each level of processor, every level in a folder of its own."""

    def build_extension(self, ext: Extension) -> None:
        folder, compile_all = self.build_temp, self.compiler.compile
        self.build_temp = str(Path(folder) / ext.name)

        def compile_side_by_side(sources, *options, **named):  # noqa: ANN001, ANN002, ANN003, ANN202
            with ThreadPoolExecutor() as pool:
                objects = pool.map(lambda source: compile_all([source], *options, **named), sources)
                return [file for files in objects for file in files]

        self.compiler.compile = compile_side_by_side
        try:
            super().build_extension(ext)
        finally:
            self.build_temp, self.compiler.compile = folder, compile_all


training = ["sphmask_training", *(f"sphmask_training.{name}" for name in find_packages("training"))]

setup(
    packages=[*find_packages(include=["sphmask_core*"]), *training],
    package_dir={
        "sphmask_training": "training"
    },  # `training` would be too common a name among installed packages
    cmdclass={"build_py": BuildWithPresets, "build_ext": BuildLevels},
    ext_modules=[
        Extension(
            f"sphmask_core.native.{level.module}",
            sources=sorted(str(path) for path in NATIVE.glob("*.cpp")),
            depends=sorted(str(path) for path in NATIVE.glob("*.h")),
            language="c++",
            extra_compile_args=[*levels["OPTIMIZATION"], *level.flags, "-g0"],
            extra_link_args=["-fopenmp"],
            optional=level.bfloat16,  # which gcc knows from version 10 on
        )
        for level in levels["LEVELS"]
    ],
)
