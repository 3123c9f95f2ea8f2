# SPDX-License-Identifier: Apache-2.0
"""Which stage loses how much: AP with one stage after the other replaced by what the labels say.

python -m benchmarks.oracles --root mosd/learn                     mixtures of tables (--mixed 0: the frames)
python -m benchmarks.oracles --frames cameras/frames               labeled frames of other cameras or LiDARs
python -m benchmarks.oracles --simulated 24                        simulated tables
python -m benchmarks.oracles --simulated 18 --model rooms|street   simulated rooms or sweeps
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from sphmask_core.clouds.scenes import Scene, open_split
from sphmask_core.config import Config
from sphmask_core.evaluation.metrics import Intersections, ScanResult
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.evaluation.scoring import Gallery, Scores, pool, score_scenes, segment_scenes
from sphmask_core.method.aggregator import PointSet
from sphmask_core.method.candidates import Candidates, mask_iou, select
from sphmask_core.method.encoding import Encoding, SuperpointTable
from sphmask_core.method.instances import distinct
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.query_sampling import InferenceSampling
from sphmask_core.method.rounds import pooled, round_of
from sphmask_core.method.voxels import VoxelBatch, superpoint_sizes
from sphmask_core.pictures.missed import GOOD_IOU, MissedObjects
from sphmask_core.segmenter import Segmenter
from training.datasets import rooms, street
from training.datasets.synthetic import simulate_meshes
from training.made import prepared
from training.mixing import mixed_scenes
from training.scene import Batch, collate
from training.targets import InstanceTargets, build_targets

SAME_OBJECT = 0.25
"""IoU from which a mask stands for an object, so that an oracle may make it whole."""
SURE = 0.6
"""Least score that an oracle gives."""
PICTURED = 12
"""Objects in the picture."""
SIMULATORS = {"rooms": rooms.simulate, "street": street.simulate}
"""What simulates scenes, by `data.dataset`; tables for all others."""
SIMULATED = 5_000_000
"""Seed of the first simulated scene: neither training, validation nor the choice of settings has seen it."""


@dataclass(frozen=True)
class Case:
    """One scene on its way through the model."""

    batch: Batch
    truth: InstanceTargets
    sizes: Tensor
    """(S,) voxels of each superpoint."""

    @classmethod
    def of(cls, scene: Scene, model: SphericalMask) -> Case:
        """Returns a raw scene, prepared as for the model."""
        config = model.config
        batch = collate([prepared(scene, config)], config.model)
        voxels = batch.voxels
        targets = build_targets(voxels, batch.semantic, batch.instance, config.class_shift, config.model.rays)
        sizes = superpoint_sizes(voxels, None)
        return cls(batch, targets.scenes[0], sizes)

    def iou(self, predicted: Candidates) -> Tensor:
        """Returns (I, G): IoU in voxels of masks with objects."""
        return mask_iou(predicted.masks, self.truth.masks, self.sizes)

    def table(self, predicted: Candidates, protocol: Protocol) -> Intersections:
        """Returns what AP needs of the masks, on points."""
        masks = torch.nn.functional.pad(predicted.masks, (0, 1))
        segments = self.batch.voxels.superpoints[self.batch.voxels.point_to_voxel]
        scan = ScanResult(
            masks.numpy(),
            predicted.scores.numpy(),
            protocol.scored_classes(predicted.class_ids.numpy()),
            self.batch.semantic.numpy(),
            self.batch.instance.numpy(),
            segments.numpy(),
        )
        return protocol.table(scan)


def experiments(model: SphericalMask, case: Case) -> Iterator[tuple[str, Candidates]]:
    """Gives the instances of the model itself, and of the model with one stage or more made perfect.

    Where there is no object, perfect foreground and perfect scores leave nothing.
    """
    own = queries(model, case)
    yield "as it is", own
    if not len(case.truth):
        yield from ((name, own) for name in ("one query an object", "masks"))
        yield from ((name, own[own.scores < 0]) for name in ("foreground", "scores", "masks, scores"))
        return
    yield "foreground", queries(model, case, perfect_foreground=True)
    yield "one query an object", queries(model, case, perfect_seeds=True)
    yield "masks", whole_masks(own, case)
    yield "scores", replace(own, scores=case.iou(own).max(1).values)
    covered = case.iou(own).max(1).values > SAME_OBJECT
    sure = replace(whole_masks(own, case), scores=case.iou(own).max(1).values.clamp(min=SURE))[covered]
    yield "masks, scores", sure


class OracleSampling(InferenceSampling):
    """Sampling of queries that knows the labels of one scene. Masks are of all superpoints."""

    def __init__(
        self, config: Config, case: Case, perfect_foreground: bool = False, perfect_seeds: bool = False
    ) -> None:
        super().__init__(config)
        self.truth = case.truth
        self.perfect_foreground, self.perfect_seeds = perfect_foreground, perfect_seeds

    def foreground(self, voxels: VoxelBatch, encoding: Encoding) -> tuple[VoxelBatch, Tensor | None]:
        """Returns the voxels, and the foreground's rows, None without any: those of the labels or of the
        model."""
        inside = self.truth.masks.any(0)[voxels.superpoints]
        foreground = (inside if self.perfect_foreground else encoding.foreground).nonzero().squeeze(1)
        return voxels, foreground if len(foreground) else None

    def superpoints(
        self, voxels: VoxelBatch, encoding: Encoding, foreground: Tensor, seeds: PointSet
    ) -> tuple[PointSet, SuperpointTable]:
        """Returns the seeds, and all superpoints."""
        return seeds, encoding.superpoints

    def rounds(self, foreground: int) -> list[int]:
        """Returns one round, of the model's number of queries."""
        return [self.config.queries]

    def queries(self, seeds: PointSet, count: int) -> Tensor:
        """Returns the rows of a seed in each object; those that the model draws, where no object has one."""
        rows = one_seed_each(seeds, self.truth) if self.perfect_seeds else seeds.superpoints.new_zeros(1, 0)
        return rows if rows.numel() else super().queries(seeds, count)


def queries(
    model: SphericalMask, case: Case, perfect_foreground: bool = False, perfect_seeds: bool = False
) -> Candidates:
    """Returns every query's mask and score."""
    sampling = OracleSampling(model.config, case, perfect_foreground, perfect_seeds)
    voxels = case.batch.voxels
    predictions = next(model.predict(voxels, sampling))
    if predictions.queries is None:
        return Candidates.none(len(case.sizes), model.config.model.rays, voxels.xyz.device)
    return pooled([round_of(predictions, model.config)], case.sizes, model.config)


def one_seed_each(seeds: PointSet, truth: InstanceTargets) -> Tensor:
    """Returns (1, G'): the seed of each object that is nearest to its center, of the objects that have
    one."""
    own = truth.masks[:, seeds.superpoints] > 0
    distance = torch.cdist(truth.centers, seeds.xyz).masked_fill(~own, torch.inf)
    return distance.argmin(1)[own.any(1)][None]


def whole_masks(predicted: Candidates, case: Case) -> Candidates:
    """Returns the candidates; each that covers most of an object has that object's own mask."""
    best, number = case.iou(predicted).max(1)
    masks = torch.where((best > SAME_OBJECT)[:, None], case.truth.masks[number] > 0, predicted.masks)
    return replace(predicted, masks=masks)


def finish(predicted: Candidates, case: Case, model: SphericalMask) -> Candidates:
    """Returns the candidates that are left after NMS, without repeats of better ones."""
    inference = model.config.inference
    predicted = select(predicted, case.sizes, inference)
    predicted = predicted[predicted.scores.argsort(descending=True)]
    return predicted[distinct(predicted.masks, case.sizes, inference.min_own)]


def objects(case: Case) -> Candidates:
    """Returns the objects themselves, as far as superpoints can describe them."""
    truth = case.truth
    ones = torch.ones(len(truth))
    return Candidates(truth.masks > 0, ones, truth.class_ids, truth.centers, truth.rays)


@torch.inference_mode()
def run(model: SphericalMask, scenes: list[Scene], protocol: Protocol) -> None:
    """Print AP of every experiment over all scenes."""
    tables = defaultdict(list)
    for scene in tqdm(scenes, disable=None):
        case = Case.of(scene, model)
        for name, predicted in experiments(model, case):
            tables[name].append(case.table(finish(predicted, case, model), protocol))
        tables["all but superpoints"].append(case.table(objects(case), protocol))
    print(f"{len(scenes)} scenes, all classes as one; perfect:")
    for name, rows in tables.items():
        mean = protocol.precision(rows, agnostic=True).mean
        print(f"  {name:20s} AP {mean.ap:.3f}   AP50 {mean.ap50:.3f}   AP25 {mean.ap25:.3f}")


def score_results(
    segmenter: Segmenter, scenes: list[Scene], protocol: Protocol, picture: Path | None
) -> None:
    """Print the scores of what a user gets; draw the worst objects of all scenes as one picture."""
    missed = MissedObjects(PICTURED)
    segmented = segment_scenes(segmenter, scenes, protocol)
    scores = pool(score_scenes(segmented, protocol, segmenter.min_score, Gallery(0), missed), protocol)
    print_classes(scores, protocol)
    mean = scores.agnostic
    overlap = " / ".join(f"{scores.overlap[name]:.3f}" for name in ("precision", "recall", "f"))
    print(
        f"what a user gets: AP {mean.ap:.3f}   AP50 {mean.ap50:.3f}   AP25 {mean.ap25:.3f}   "
        f"overlap precision / recall / F {overlap}"
    )
    print(f"{missed.missed} of {missed.objects} objects below an IoU of {GOOD_IOU}")
    if picture:
        print(f"the worst are in {picture}" if missed.draw(picture) else "none is to be drawn")


def print_classes(scores: Scores, protocol: Protocol) -> None:
    """Print a line for each class that occurs, where there is more than one class."""
    for name, of_class in zip(protocol.classes, scores.precision.classes, strict=False):
        if not math.isnan(of_class.ap):
            print(f"  {name:20s} AP {of_class.ap:.3f}   AP50 {of_class.ap50:.3f}   AP25 {of_class.ap25:.3f}")


def wanted_scenes(options: argparse.Namespace, config: Config) -> Iterable[Scene]:
    """Returns simulated scenes of the model's kind, labeled frames of any camera, mixtures of the split's
    frames, or the frames themselves."""
    if options.simulated:
        simulate = SIMULATORS.get(config.data.dataset, simulate_meshes)
        return map(simulate, range(SIMULATED, SIMULATED + options.simulated))
    if options.frames:
        return open_split("frames", options.frames, "all")
    if not options.root:
        sys.exit("say where labeled scenes are (--root, --frames), or how many to simulate (--simulated)")
    frames = open_split("mosd", options.root, options.split)
    return mixed_scenes(frames, options.mixed, options.seed) if options.mixed else frames


def protocol_of(config: Config) -> Protocol:
    """Returns the protocol by which simulated scenes are scored: by class, where the model knows more than
    one."""
    return Protocol().with_classes(config) if len(config.instance_classes) > 1 else Protocol()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="folder of labeled scenes (mOSD)")
    parser.add_argument("--frames", help="folder of labeled frames (.npz), in the place of --root")
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--split", default="val", choices=("train", "val", "all"))
    parser.add_argument("--mixed", type=int, default=24, help="mixtures of the split's frames; 0: the frames")
    parser.add_argument("--seed", type=int, default=7, help="of the mixtures (default: %(default)s)")
    parser.add_argument("--simulated", type=int, default=0, help="simulated scenes in the place of all these")
    parser.add_argument("--failures", type=Path, help="write a picture of the worst objects")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model, "cpu")
    scenes = list(wanted_scenes(options, segmenter.config))
    protocol = protocol_of(segmenter.config) if options.simulated else Protocol()
    run(segmenter.model, scenes, protocol)
    score_results(segmenter, scenes, protocol, options.failures)


if __name__ == "__main__":
    main()
