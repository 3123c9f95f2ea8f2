# SPDX-License-Identifier: Apache-2.0
"""Accuracy and time on real LiDAR sweeps: the labeled samples that come with PCLSegmentation.

python -m benchmarks.sweeps PCLSegmentation/dataset_samples [--model street] [--picture out.png]

The samples (SemanticKITTI of 64 beams, nuScenes of 32) are images of x, y, z, intensity, range and class.
Objects are clusters of points of a class. Every second or third sample is scored, for neighbors are alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.labeled_frames import labeled_scene
from sphmask_core.clouds.scene import Scene
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.evaluation.scoring import Gallery, Segmented, pool, score_scenes, segment_scenes
from sphmask_core.pictures.draw import draw_scenes
from sphmask_core.segmenter import Segmenter

from .measure import cpu_ms

LAST = 5
"""Column of the class in a sample, after x, y, z, intensity and range."""
RANGE = 4
"""Column of the range, meters; 0 where nothing came back."""
PICTURED = 4
"""Sweeps in the picture."""


@dataclass(frozen=True)
class Samples:
    """How the samples of a data set become labeled sweeps."""

    pattern: str
    step: int
    """One of so many samples is scored."""
    objects: tuple[tuple[tuple[int, ...], float], ...]
    """Classes that are objects, and from how many meters on two of their points are two objects."""
    unknown: tuple[int, ...]
    """Classes that hold objects and background alike: no score counts them."""
    fewest: int
    """Points of an object; smaller ones are unknown."""


DATA_SETS = {
    "SemanticKITTI": Samples(
        "semantic_kitti/train/*.npy",
        2,
        (((1,), 0.6), ((4, 5), 0.8), ((6,), 0.5), ((2, 3, 7, 8), 0.5)),
        (0, 16, 18, 19),
        50,
    ),
    "nuScenes": Samples(
        "nuscenes/*/*.npy", 3, (((7,), 0.9), ((8, 9), 1.2), ((5,), 0.6), ((6,), 0.7)), (3, 10), 25
    ),
}


def sweeps(root: Path, samples: Samples) -> Iterator[Scene]:
    """Gives the labeled sweeps of a data set."""
    for path in sorted(root.glob(samples.pattern))[:: samples.step]:
        yield labeled_sweep(path.stem, np.load(path), samples)


def labeled_sweep(name: str, image: np.ndarray, samples: Samples) -> Scene:
    """Returns the points of an image (H, W, 6) that came back, labeled by cluster."""
    measured = (image[..., RANGE] > 0) & image[..., :3].any(-1)
    xyz, classes = image[measured][:, :3].astype(np.float32), image[measured][:, LAST].astype(int)
    label = np.where(np.isin(classes, samples.unknown), -1, 0)
    for of_kind, gap in samples.objects:
        points = np.flatnonzero(np.isin(classes, of_kind))
        for cluster in clusters(xyz[points], gap):
            label[points[cluster]] = label.max() + 1 if len(cluster) >= samples.fewest else -1
    return labeled_scene(name, Cloud(xyz, None, label.astype(np.int64), (1, len(xyz))))


def clusters(xyz: np.ndarray, gap: float) -> list[np.ndarray]:
    """Returns the connected parts of points (N, 3) of which neighbors are less than `gap` meters apart."""
    if not len(xyz):
        return []
    pairs = cKDTree(xyz).query_pairs(gap, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), tuple(pairs.T)), shape=(len(xyz), len(xyz)))
    count, part = connected_components(links, directed=False)
    return [np.flatnonzero(part == index) for index in range(count)]


def report(
    name: str, segmented: Sequence[Segmented], fewest: int, min_score: float, gallery: Gallery
) -> None:
    """Print one line of scores, all classes as one; answers on the background are wrong, on the unknown
    not."""
    protocol = Protocol(min_region=fewest, strict=True)
    scores = pool(score_scenes(segmented, protocol, min_score, gallery), protocol)
    of_all, shown = scores.agnostic, scores.detections
    print(
        f"{name:14s} {len(segmented):3d} sweeps, {shown.objects:3d} objects   AP {of_all.ap:.3f}   "
        f"AP50 {of_all.ap50:.3f}   AP25 {of_all.ap25:.3f}   "
        f"at the threshold: precision {shown.precision:.2f}, recall {shown.recall:.2f}"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder dataset_samples of PCLSegmentation")
    parser.add_argument("--model", default="street")
    parser.add_argument("--threads", type=int, default=0, help="of torch and of the kernels (default: all)")
    parser.add_argument("--picture", type=Path, help="draw the four worst sweeps")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    segmenter, gallery = Segmenter.load(options.model, "cpu"), Gallery(PICTURED if options.picture else 0)
    least = segmenter.min_score
    everything = []
    for name, samples in DATA_SETS.items():
        scenes = list(sweeps(options.root, samples))
        segmented = list(segment_scenes(segmenter, scenes, Protocol(), min_score=0.0))
        report(name, segmented, samples.fewest, least, gallery)
        everything += segmented
    report("all", everything, min(samples.fewest for samples in DATA_SETS.values()), least, Gallery(0))
    clouds = [result.scene.cloud.xyz for result in everything]
    times = sorted(cpu_ms(partial(segmenter, xyz)) for xyz in clouds)
    points = sorted(len(xyz) for xyz in clouds)
    print(f"median {times[len(times) // 2]:.0f} ms of processor time for {points[len(points) // 2]:,} points")
    if options.picture:
        draw_scenes(options.picture, gallery.scenes)


if __name__ == "__main__":
    main()
