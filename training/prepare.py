# SPDX-License-Identifier: Apache-2.0
"""Prepare a data set: python -m training.prepare DATASET --raw DIR --out DIR"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from sphmask_core.clouds.prepared import Manifest, write_manifest
from sphmask_core.config import Config, ConfigError, load_config
from sphmask_core.runtime.memory import is_out_of_memory
from sphmask_core.runtime.process import Ended, ended_by, ending_cleanly

from .formats import own, pointcept, published, s3dis, scannet, stpls3d
from .formats.job import Job, do, is_done, scenes_of
from .formats.source import FormatError, Options, Source, check_counts, check_files
from .parallel import in_parallel

FORMATS = {"scannetv2": scannet, "scannet200": scannet, "s3dis": s3dis, "stpls3d": stpls3d, "folder": own}
LISTED = 20
"""Bad files that are listed one by one."""
PROGRAM = "python -m training.prepare"


def main(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> int:
    """Runs the command line. Returns the exit status. program: what the command calls itself in what it
    prints."""
    asked = _parser(program).parse_args(arguments)
    try:
        options = Options(asked.raw, _config(asked), asked.superpoints, asked.partial)
        with ending_cleanly():
            failures = prepare(options, asked.out, asked.jobs)
    except (FormatError, ConfigError, OSError) as error:
        failures = [str(error)]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        failures = ["out of memory; fewer --jobs need less"]
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return ended_by(signal.SIGINT)
    except Ended as ended:
        return ended.status
    for line in failures[:LISTED]:
        print(f"prepare: {line}", file=sys.stderr)
    if len(failures) > LISTED:
        print(f"prepare: and {len(failures) - LISTED} more", file=sys.stderr)
    return 2 if failures else 0


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Prepare a data set.")
    parser.add_argument("dataset", choices=FORMATS)
    parser.add_argument("--raw", type=Path, required=True, metavar="DIR", help="the data set as downloaded")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where prepared scenes go")
    parser.add_argument("--config", help="preset or .yaml (default: the data set's; `folder` needs one)")
    parser.add_argument(
        "--superpoints", choices=("published", "ours"), default="published", help="(default: %(default)s)"
    )
    parser.add_argument("--partial", action="store_true", help="take fewer scenes than the official splits")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one a core)")
    return parser


def _config(asked: argparse.Namespace) -> Config:
    """Returns the configuration, for the data set asked for."""
    if asked.config is None and asked.dataset == "folder":
        raise ConfigError(
            "folder: give --config, a .yaml that names the classes and the fields of your clouds"
        )
    config = load_config(asked.config or asked.dataset)
    return replace(config, data=replace(config.data, dataset=asked.dataset))


def prepare(options: Options, out: Path, processes: int) -> list[str]:
    """Prepares what is not yet. Returns a line for each thing that is wrong; where nothing is, it writes the
    manifest."""
    sources = find_sources(options)
    failures = check_files(sources)
    if failures:
        return failures
    jobs = [Job(source, options, out) for source in sources]
    waiting = [job for job in jobs if not is_done(job)]
    with tqdm(total=len(jobs), initial=len(jobs) - len(waiting), unit="scan", dynamic_ncols=True) as bar:
        for failure in in_parallel(do, waiting, processes):
            bar.update()
            failures += [failure] if failure else []
    if not failures:
        write_manifest(out, _manifest(jobs, options))
    return failures


def find_sources(options: Options) -> list[Source]:
    """Returns what is in the raw folder: scenes that others prepared, or the data set as downloaded."""
    if not options.raw.is_dir():
        raise FormatError(f"{options.raw}: no such folder")
    form = FORMATS[options.config.data.dataset]
    sources, official = published.find(options) or pointcept.find(options), form.OFFICIAL
    if not sources:
        sources = form.find(options)
    elif form is stpls3d:  # blocks, whose number depends on who made them
        official = {}
    return check_counts(sources, official, options)


def _manifest(jobs: Sequence[Job], options: Options) -> Manifest:
    config = options.config
    scenes = sorted(
        (scene for job in jobs for scene in scenes_of(job)), key=lambda record: (record.split, record.name)
    )
    label_ids = FORMATS[config.data.dataset].label_ids(options)
    return Manifest(
        config.data.dataset, config.semantic_classes, config.class_shift, label_ids, tuple(scenes)
    )


if __name__ == "__main__":
    sys.exit(main())
