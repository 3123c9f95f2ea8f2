# SPDX-License-Identifier: Apache-2.0
from setuptools import setup

setup(
    name="sphmask_pick_list",
    version="0.1.0",
    packages=["sphmask_pick_list"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/sphmask_pick_list"]),
        ("share/sphmask_pick_list", ["package.xml"]),
    ],
    entry_points={"console_scripts": ["pick_list = sphmask_pick_list.pick_list:main"]},
)
