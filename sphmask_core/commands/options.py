# SPDX-License-Identifier: Apache-2.0
"""The commands of `sphmask` and what each can be asked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from sphmask_core import __version__
from sphmask_core.bags.bag import COMPRESSIONS
from sphmask_core.clouds.cloud import SUFFIXES
from sphmask_core.clouds.coordinates import AXES, UNITS
from sphmask_core.clouds.limits import MAX_POINTS
from sphmask_core.clouds.scenes import DATASETS
from sphmask_core.commands.engines import ENGINES
from sphmask_core.simulation.demo import SCENES

EXAMPLES = {
    "segment": """
examples:
  sphmask segment table.pcd -o results --png
  sphmask segment scans/ -o results --resume                    all clouds of a folder, those not yet done
  sphmask segment scans/ -o results --engine ray --workers 8    the same by 8 processes, or a cluster's
  sphmask segment room.ply sweep.pcd -o results --model auto    the preset for the first: said in the output
  sphmask segment --depth d.png --color c.png --intrinsics 525 525 319.5 239.5 -o results
  sphmask segment rgbd_dataset_freiburg1_desk --intrinsics 517.3 516.5 318.6 255.3 -o results
  sphmask segment sweep.pcd --model street --max-range 60 --ego-box -1 -1 -2 3.5 1 0.5 -o results
  sphmask segment sweeps/ --model street --class-scores person:0.3 car:0.5 -o results
  sphmask segment drive.mcap --topic /camera/points -o drive_labeled.mcap
  sphmask segment drive.mcap --depth-topic /camera/depth/image --color-topic /camera/color/image -o out.mcap
  sphmask segment recording/ -o recording_labeled  --compression zstd    a folder that rosbag2 recorded

Of each cloud NAME there is NAME.npz (labels, masks, scores, classes, centers, rays, boxes), NAME.ply
(colored and labeled points) and NAME.json. Of a bag there is a copy, with /segment/labelled_points, markers,
instances, detections and timings beside its topics. A bad cloud is reported, the others are done, and
the exit code is 2. Results need a folder of their own: they are clouds, too.""",
    "simulate": """
examples:
  sphmask simulate table table.ply                              what a depth camera sees of a table
  sphmask simulate street sweep.ply --seed 3                    a LiDAR's sweep; rooms and streets need the
                                                                extra: pip install 'sphmask[simulation]'""",
    "view": """
examples:
  sphmask view table.pcd                                        segment it now, and show it
  sphmask view results/                                         what `sphmask segment` wrote, on a time line
  sphmask view --depth d.png --color c.png --intrinsics 525 525 319.5 239.5
  sphmask view sweep.pcd --model street --max-range 60 --class-scores person:0.3
  sphmask view drive_labeled.mcap --save drive.rrd              without a display; elsewhere: rerun drive.rrd

Points have the colors of their instances; boxes with class, id and score, rays and the polygons that they
span are layers of their own. The frames of a bag lie on a time line. Needs pip install 'sphmask[rerun]'.""",
    "eval": """
examples:
  sphmask eval --root mosd/learn                                validation frames, preset tabletop
  sphmask eval --model MODEL --dataset scannetv2 --root data/scannetv2 -o out
  sphmask eval --model MODEL --dataset scannetv2 --root data/scannetv2 -o out --resume --engine ray
  sphmask eval --model MODEL --dataset scannetv2 --root data/scannetv2 --split test --submission DIR

-o keeps all scores (metrics.json), pictures of the worst scenes and objects, and the instances of each scene
(predictions/), from which --resume goes on. A scene that fails is reported and left out of the figures, and
the exit code is 2.""",
    "convert": """
example:
  sphmask convert spherical_mask.pth --config scannetv2 -o scannetv2.safetensors""",
    "bench": """
examples:
  sphmask bench                                                 simulated frames, preset tabletop
  sphmask bench cloud.ply --model weights.safetensors --threads 1 --repeats 10""",
    "info": """
examples:
  sphmask info tabletop
  sphmask info weights.safetensors""",
}

BAG_IMAGES = {
    "depth-topic": "depth images of a bag, in the place of its clouds",
    "color-topic": "color images of the bag",
    "info-topic": "camera_info of the depth images (default: beside them)",
    "color-info-topic": "camera_info of the color images (default: beside them, where it is in the bag)",
}
"""Options for the topics of an RGB-D camera in a bag."""

Run = Callable[[argparse.Namespace], int]


def make_parser(runs: Mapping[str, Run]) -> argparse.ArgumentParser:
    """Returns the parser; in what it parses, `run` is the function of the command, one of `runs`."""
    parser = argparse.ArgumentParser(
        prog="sphmask",
        description="Object instances from point clouds.",
        epilog="sphmask COMMAND --help has examples.",
    )
    parser.add_argument("--version", action="version", version=f"sphmask {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, add) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            epilog=EXAMPLES[name],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(command)
        command.set_defaults(run=runs[name])
    for name, what in TRAINING.items():
        commands.add_parser(name, help=what, add_help=False)
    return parser


def _segment(parser: argparse.ArgumentParser) -> None:
    clouds = f"{', '.join(SUFFIXES)}, or a folder of them; or one bag: .mcap, rosbag2's folder or .db3"
    parser.add_argument("clouds", nargs="*", type=Path, metavar="CLOUD", help=clouds)
    output = "folder of the results; of a bag the new bag: .mcap, or a folder"
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help=output)
    parser.add_argument("--png", action="store_true", help="draw each result, too")
    _add_clouds(parser)
    compression = "of the new bag (default: as the bag's)"
    parser.add_argument("--compression", choices=COMPRESSIONS, help=compression)
    _add_request(parser)
    _add_engine(parser)


def _simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scene", choices=SCENES, metavar="SCENE", help="table, room or street")
    parser.add_argument("cloud", type=Path, metavar="CLOUD", help="the .ply file to write; none is replaced")
    parser.add_argument(
        "--seed", type=int, default=9, help="another one, another scene (default: %(default)s)"
    )


def _view(parser: argparse.ArgumentParser) -> None:
    what = "clouds, files or folders that `sphmask segment` wrote, or bags, segmented or not"
    parser.add_argument("clouds", nargs="*", type=Path, metavar="CLOUD|RESULT|BAG", help=what)
    save = "write a file for rerun's viewer, instead of opening it"
    parser.add_argument("--save", type=Path, metavar="FILE.rrd", help=save)
    _add_clouds(parser)
    _add_request(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", choices=DATASETS, default=DATASETS[0], help="(default: %(default)s)")
    parser.add_argument("--root", required=True, metavar="DIR", help="folder of the data set, prepared")
    parser.add_argument(
        "--split", default="val", help="train, val, test, all, or an area of S3DIS (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="save scores and pictures")
    parser.add_argument(
        "--submission", type=Path, metavar="DIR", help="write what ScanNet's benchmark server takes"
    )
    parser.add_argument("--picture", type=Path, metavar="PNG", help="draw six scenes beside their labels")
    _add_model(parser)
    _add_min_score(parser)
    _add_engine(parser)


def _convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="of Spherical Mask or ISBNet, .pth"
    )
    parser.add_argument("--config", required=True, metavar="NAME|FILE", help="preset, or .yaml file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".safetensors")
    parser.add_argument("--half", action="store_true", help="store matrices as float16, half the size")


def _bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clouds", nargs="*", type=Path, metavar="CLOUD", help="default: simulated frames")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each cloud (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="(default: %(default)s)")
    parser.add_argument("--peers", action="store_true", help="compare with plain torch and spconv, too")
    _add_model(parser)


def _info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a preset's name, or a path to weights")


TRAINING = {
    "adapt": "adapt weights to a few labeled frames of one's own camera",
    "prepare": "turn a data set into the files that training and evaluation read",
    "train": "train a model by a preset",
}
"""Commands that the package sphmask_training has, with parsers of their own."""
COMMANDS = {
    "segment": ("find the instances of point clouds, files or bags", _segment),
    "simulate": ("write a simulated cloud to try things on", _simulate),
    "view": ("show clouds and what was found in them, by rerun's viewer", _view),
    "eval": ("score a model on labeled scenes", _evaluate),
    "convert": ("turn a published checkpoint into weights of our own", _convert),
    "bench": ("measure time and memory by stage", _bench),
    "info": ("say what a model is", _info),
}


def _add_clouds(parser: argparse.ArgumentParser) -> None:
    unit = "unit of the clouds' coordinates; results are in meters (default: m, checked against the model)"
    parser.add_argument("--unit", choices=UNITS, help=unit)
    most = "refuse larger clouds (default: %(default)s)"
    parser.add_argument("--max-points", type=int, default=MAX_POINTS, metavar="N", help=most)
    parser.add_argument("--topic", help="topic of a bag's clouds (default: the only one)")


def joined_axes(arguments: Sequence[str]) -> list[str]:
    """Returns the arguments with `--up -y` as one, `--up=-y`: argparse takes an axis with a minus for an
    option."""
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] == "--up" and argument in AXES:
            joined[-1] = f"--up={argument}"
        else:
            joined.append(argument)
    return joined


def _add_request(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is segmented, by which model, and what is kept of what it finds."""
    _add_depth_images(parser)
    _add_region(parser)
    _add_model(parser, "; auto: the preset that fits the first cloud")
    _add_min_score(parser)
    scores = "the same for single classes, as in car:0.4 person:0.3"
    parser.add_argument("--class-scores", nargs="+", default=(), metavar="CLASS:S", help=scores)
    up = "axis that points up, as in --up -y, for models that do not find it themselves (default: z; -y of "
    up += "depth images and of bags' optical frames)"
    parser.add_argument("--up", choices=AXES, metavar="AXIS", help=up)


def _add_model(parser: argparse.ArgumentParser, more: str = "") -> None:
    what = f"a preset's name, or a path to weights{more} (default: %(default)s)"
    parser.add_argument("--model", default="tabletop", help=what)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: %(default)s)")


def _add_depth_images(parser: argparse.ArgumentParser) -> None:
    images = parser.add_argument_group("depth images in the place of clouds")
    images.add_argument("--depth", type=Path, metavar="PNG", help="16-bit depth image; also TIFF, .npy")
    images.add_argument("--color", type=Path, metavar="IMAGE", help="color image of the same pixels")
    lens = "of the camera, in pixels; also of a folder of the TUM RGB-D benchmark (depth.txt, rgb.txt)"
    images.add_argument(
        "--intrinsics",
        type=float,
        nargs=4,
        metavar=("FX", "FY", "CX", "CY"),
        help=f"focal lengths and center {lens}",
    )
    scale = "depth of one meter (default: 1000, of a folder of that benchmark 5000)"
    images.add_argument("--depth-scale", type=float, metavar="S", help=scale)
    for name, what in BAG_IMAGES.items():
        images.add_argument(f"--{name}", metavar="TOPIC", help=what)


def _add_region(parser: argparse.ArgumentParser) -> None:
    region = parser.add_argument_group("only a part of each cloud; the other points belong to no instance")
    sides = ("X", "Y", "Z", "X", "Y", "Z")
    region.add_argument("--min-range", type=float, default=0.0, metavar="M", help="meters from the origin")
    region.add_argument("--max-range", type=float, default=0.0, metavar="M", help="the same; 0: however far")
    crop = "least and greatest x, y, z of what is looked at"
    region.add_argument("--crop-box", type=float, nargs=6, metavar=sides, help=crop)
    ego = "the same of what is not: the robot's own body"
    region.add_argument("--ego-box", type=float, nargs=6, metavar=sides, help=ego)
    voxel = "look at points closer together than M meters as one; answers stay per point"
    region.add_argument("--voxel-filter", type=float, default=0.0, metavar="M", help=voxel)


def _add_min_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-score", type=float, metavar="S", help="drop instances below (default: the model's)"
    )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", action="store_true", help="leave out what the same command did before")
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="what does the work (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="of --engine ray (default: one a core or GPU)"
    )
