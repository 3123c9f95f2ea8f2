# SPDX-License-Identifier: Apache-2.0
"""The documents agree with the repository: sections that code cites, links, paths and commands."""

import os
import re
import shlex
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from sphmask_core.commands.options import make_parser
from sphmask_core.config import load_config, override, preset_names
from training.prepare import FORMATS

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PACKAGES = ("sphmask_core", "sphmask_ros", "training", "test", "benchmarks")
SOURCES = sorted(
    path for name in PACKAGES for suffix in ("*.py", "*.cpp", "*.h") for path in (ROOT / name).rglob(suffix)
)
SECTIONS = re.compile(r"model\.md,\s+sections?\s+(\d+(?:(?:, | and | to )\d+)*)", re.IGNORECASE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FOLDERS = (*PACKAGES, "config", "docs", "launch", "msg", "srv", "rviz")
SETTING = re.compile(r"\w+\.[\w.]+=")
PRESETS = [f"config/{name}.yaml" for name in preset_names()]
PATH = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./-]*)`")


def cited_sections(text):
    """Numbers of the sections of docs/model.md that a text cites."""
    for numbers in SECTIONS.findall(text):
        first, *rest = map(int, re.findall(r"\d+", numbers))
        yield from range(first, rest[0] + 1) if " to " in numbers else (first, *rest)


def anchors(path):
    """The anchors of a document's headings, as GitHub and mkdocs make them."""
    for heading in re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")


def without_code(text):
    """The text without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def test_sections_are_read_from_citations():
    assert list(cited_sections("(docs/model.md, sections 2 to 5)")) == [2, 3, 4, 5]
    assert list(cited_sections("(docs/model.md, sections 1 and 4), docs/model.md, section 13.")) == [1, 4, 13]


def test_every_section_that_code_cites_exists():
    headings = re.findall(r"^## (\d+)\. ", (ROOT / "docs" / "model.md").read_text(), re.MULTILINE)
    assert headings == [str(number) for number in range(1, 14)]
    cited = {number for path in SOURCES for number in cited_sections(path.read_text())}
    assert cited <= set(range(1, 14)) and len(cited) > 10
    assert not [path for path in SOURCES if path != Path(__file__) and "MODEL.md" in path.read_text()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_exist(document):
    text = without_code(document.read_text())
    for target in LINK.findall(text):
        if not target.startswith(("http://", "https://", "mailto:")):
            path, _, anchor = target.partition("#")
            file = document.parent / path if path else document
            assert file.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{document.name}: {target}"
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), f"{document.name}: {path}"


def test_names_beside_files_are_defined_there():
    """The table at the top of docs/model.md says where each name of the paper is in the code."""
    rows = re.findall(
        r"^\|.*`(?:sphmask_core|training)/.*\|$", (ROOT / "docs" / "model.md").read_text(), re.MULTILINE
    )
    assert len(rows) >= 7
    for row in rows:
        words = re.findall(r"`([\w./]+)`", row)
        files = [word for word in words if "/" in word]
        code = "\n".join((ROOT / file).read_text() for file in files)
        for name in [word for word in words if "/" not in word]:
            assert re.search(rf"(def|class) {name.split('.')[-1]}\b", code), name


def test_folders_stand_in_the_order_that_lint_holds():
    """docs/architecture.md lists the folders of sphmask_core as pyproject.toml does for import-linter."""
    layers = re.search(
        r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^\| `sphmask_core/(\w+)(?:/|\.py)` ", text, re.MULTILINE)
    assert listed == re.findall(r"\w+", layers[1])


def commands(document):
    """Command lines in the code blocks of a document, as words; a backslash joins lines."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", document.read_text(), re.MULTILINE | re.DOTALL)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        if line.startswith(("sphmask ", "make", "python ")):
            yield shlex.split(line, comments=True)


COMMANDS = [pytest.param(words, id=" ".join(words)[:80]) for path in DOCUMENTS for words in commands(path)]


@pytest.mark.parametrize("words", COMMANDS)
def test_commands_are_known(words, tmp_path, monkeypatch):
    """Make targets, modules, options of `sphmask` and settings of training in the documents exist."""
    match words:
        case ["make", *targets]:
            makefile = (ROOT / "Makefile").read_text()
            for target in [word for word in targets if "=" not in word]:
                assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        case ["sphmask", "prepare", dataset, *_]:
            assert dataset in FORMATS
        case ["sphmask", "train", config, *options] if config in [*preset_names(), *PRESETS]:
            assert override(load_config(config), [word for word in options if SETTING.match(word)])
        case ["sphmask", "adapt", _, "-o", weights, *_]:
            assert weights.endswith(".safetensors")
        case ["sphmask", "train", file, *_]:
            assert file.endswith(".yaml")
        case ["sphmask", name, *options]:
            parser = make_parser(defaultdict(lambda: int))
            assert parser.parse_args([name, *options])
        case ["python", "-m", module, *_]:
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
        case ["python", "training/train.py", config, *options] if config in [*preset_names(), *PRESETS]:
            assert override(load_config(config), [word for word in options if SETTING.match(word)])
        case ["python", "-c", code]:
            monkeypatch.chdir(tmp_path)
            exec(compile(code, "<document>", "exec"), {})
            assert list(tmp_path.iterdir())
        case ["python", script, *_]:
            assert (ROOT / script).is_file()


@pytest.mark.parametrize(("scene", "needed"), [("street", True), ("room", True), ("table", False)])
def test_the_demo_of_a_scene_installs_what_sees_it(scene, needed):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    make = ["make", "--dry-run", "--always-make", "demo", f"SCENE={scene}"]
    plan = subprocess.run(make, cwd=ROOT, env=plain, capture_output=True, text=True, check=True).stdout
    assert ("-r requirements-scene.txt" in plan) == needed
