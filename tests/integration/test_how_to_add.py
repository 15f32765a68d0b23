"""Follow ARCHITECTURE.md's table "How to add" to the letter: scaffold each kind in a copy, run its contract suite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.scaffolds.controller import TABLE, TRANSPORT, VIEW
from tests.integration.scaffolds.device import ACCURACY, CONDITION, METRIC, POWER_SOURCE
from tests.integration.scaffolds.recipe import Command, Scaffold
from tests.integration.scaffolds.reporting import REPORT_FORMAT
from tests.integration.scaffolds.runtime import RUNTIME

REPOSITORY = Path(__file__).parents[2]
COPIED = (
    "orchestrator",
    "device_worker",
    "migrations",
    "tests",
    "docs",
    "inventory",
    "sweeps",
    "models",
    "schemas",
    "reference",
    "nightly.yaml",
    "pyproject.toml",
)

SCAFFOLDS: Mapping[str, Scaffold] = {
    "runtime": RUNTIME,
    "power source": POWER_SOURCE,
    "condition": CONDITION,
    "metric of accuracy": ACCURACY,
    "metric": METRIC,
    "transport": TRANSPORT,
    "table": TABLE,
    "view": VIEW,
    "report format": REPORT_FORMAT,
}


@dataclass(frozen=True)
class Row:
    """One line of the table: new files, files that get a line, files that a command writes, and the contract suite."""

    new: frozenset[str]
    edited: frozenset[str]
    suite: tuple[str, ...]


def rows() -> dict[str, Row]:
    page = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page.partition("## How to add")[2].partition("\n## ")[0]
    found = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("a "):
            paths = [tuple(re.findall(r"`([\w./-]+/[\w./-]+)`", cell)) for cell in cells]
            found[cells[0].removeprefix("a ")] = Row(frozenset(paths[1]), frozenset(paths[2]), paths[3])
    return found


def named(paths: frozenset[str], name: str) -> set[str]:
    return {path.replace("NAME", name) for path in paths}


def tracked_state(copy: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(copy)): path.read_bytes()
        for path in copy.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )


def test_every_kind_has_a_line_and_a_scaffold() -> None:
    assert set(rows()) == set(SCAFFOLDS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_a_stranger_adds_one_by_the_table(kind: str, tmp_path: Path) -> None:
    scaffold, row = SCAFFOLDS[kind], rows()[kind]
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    before = tracked_state(tmp_path)
    for path, content in scaffold.files.items():
        (tmp_path / path).write_text(content, encoding="utf-8")
    for step in (*scaffold.edits.items(), *scaffold.then):
        if isinstance(step, Command):
            ended = run(tmp_path, *step.arguments)
            assert ended.returncode == 0, ended.stderr
        else:
            path, edit = step
            changed = edit((tmp_path / path).read_text(encoding="utf-8"))
            (tmp_path / path).write_text(changed, encoding="utf-8")
    after = tracked_state(tmp_path)

    told = named(row.new, scaffold.name)
    touched = {path for path in after if after[path] != before.get(path)}
    told_with_number = {re.sub(r"NNNN", r"\\d{4}", re.escape(path)) for path in told}
    unexpected = {
        path for path in touched - set(row.edited) if not any(re.fullmatch(p, path) for p in told_with_number)
    }
    assert unexpected == set(), "the table says nothing of these"
    assert set(row.edited) <= touched, "the table asks for more than is needed"

    ended = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", *row.suite)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert re.search(rf"^PASSED .*{re.escape(scaffold.proof)}", ended.stdout, re.MULTILINE), ended.stdout[-4000:]
