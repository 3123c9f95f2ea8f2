#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the wheel and uses every command of it as somebody would who has no checkout: in an empty virtual environment and an
# empty folder. PyTorch and the other dependencies are those of the environment of the Python given as $1; its own packages are
# only put on the path, so an editable installation of this checkout in it has no effect (checked below).
set -euo pipefail
python=$(realpath -s "$1")
checkout=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cd "$checkout"
rm -rf build/lib.* build/bdist.* build/wheel  # what an earlier build has left would get into the wheel
"$python" -m pip --disable-pip-version-check --quiet wheel . --no-deps --no-build-isolation --wheel-dir build/wheel
"$python" -m venv "$folder/venv"
"$folder/venv/bin/pip" --disable-pip-version-check --quiet install --no-deps --no-index build/wheel/sphmask-*.whl
"$python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' \
    > "$(echo "$folder"/venv/lib/python*/site-packages)/dependencies.pth"

cd "$folder"
export PATH="$folder/venv/bin:$PATH"
unset PYTHONPATH
python - "$folder" << 'END'
"""Every package comes from the wheel; two clouds and a data set to use it on."""
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import sphmask_core
import sphmask_training
from sphmask_core.clouds.cloud import write_ply
from sphmask_core.simulation.scenes import simulate_cloud

for package in (sphmask_core, sphmask_training):
    assert Path(package.__file__).is_relative_to(sys.argv[1]), package.__file__
    assert Path(package.__file__).with_name("py.typed").exists(), package.__file__
assert version("sphmask") == sphmask_core.__version__
write_ply("table.ply", simulate_cloud(7, 320, 240), {})
Path("raw").mkdir()
for room in range(5):
    rng = np.random.default_rng(room)
    floor, box = rng.uniform([0, 0, 0], [3, 3, 0.01], (4000, 3)), rng.uniform([1, 1, 0], [1.6, 1.6, 0.6], (2000, 3))
    label = np.repeat([0, 1], [4000, 2000])
    np.savez(f"raw/room{room}.npz", xyz=np.concatenate([floor, box]), label=label, instance=label - 1)
END
cat > boxes.yaml << 'END'
semantic_classes: [floor, box]
instance_classes: [box]
voxel_size: 0.05
model: {channels: 4, levels: 2, query_dim: 8, seeds: 32, neighbors: 4}
inference: {foreground_threshold: 0.0, min_points: 1, queries: 8, iterative_sampling: false}
data: {dataset: folder, root: boxes}
train: {epochs: 1, batch_size: 1, queries: 8}
END

sphmask --version
sphmask info tabletop
sphmask segment table.ply -o results --png
sphmask prepare folder --config boxes.yaml --raw raw --out boxes --jobs 1
sphmask train boxes.yaml --device cpu -o run
sphmask eval --model run/last.safetensors --dataset folder --root boxes -o scores
sphmask segment raw/room0.npz --model run/last.safetensors -o results
ls results/table.{npz,ply,json,png} results/room0.{npz,ply,json} scores/{metrics.json,scenes.png,confusion.png}
