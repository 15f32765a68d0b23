"""Files that people may write: good ones load, bad ones say what is wrong, where, and what to do.

A bad file begins with what must be said of it: `# error: LINE: MESSAGE` for each complaint, `# hint: …` for a lone one.
In a hint, `{runtimes}` stands for every form that the table of runtimes has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError, ExitCode
from orchestrator.domain.runtimes import ENGINES, RUNTIMES
from orchestrator.inventory.files import load_inventory
from orchestrator.specs.model import load_model
from orchestrator.specs.sweep import load_sweep

HERE = Path(__file__).parent
LOADERS: dict[str, Callable[[Path], object]] = {
    "sweeps": load_sweep,
    "inventories": lambda path: load_inventory([path]),
    "models": lambda path: load_model(path.parent),
}
KNOWN_RUNTIMES = ", ".join((*(f"{name}==VERSION" for name in RUNTIMES), *(f"system/{name}" for name in ENGINES)))


@dataclass(frozen=True)
class Expected:
    errors: tuple[str, ...]
    hint: str | None


def files(verdict: str) -> list[Path]:
    found = sorted(path.relative_to(HERE) for path in (HERE / verdict).rglob("*.yaml"))
    assert found
    return found


def loader(path: Path) -> Callable[[Path], object]:
    return LOADERS[path.parts[1]]


def expected(path: Path) -> Expected:
    errors, hint = [], None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# error: "):
            errors.append(f"{path}:{line.removeprefix('# error: ')}")
        elif line.startswith("# hint: "):
            hint = line.removeprefix("# hint: ").replace("{runtimes}", KNOWN_RUNTIMES)
    assert errors, f"{path} does not say what is wrong with it"
    return Expected(tuple(errors), hint)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)


@pytest.mark.parametrize("path", files("good"), ids=str)
def test_a_good_file_loads(path: Path) -> None:
    assert loader(path)(path)


@pytest.mark.parametrize("path", files("bad"), ids=str)
def test_a_bad_file_is_refused_with_its_line_and_the_remedy(path: Path) -> None:
    wanted = expected(path)
    with pytest.raises(ConfigError) as caught:
        loader(path)(path)
    assert tuple(caught.value.message.split("\n")) == wanted.errors
    assert caught.value.hint == wanted.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_there_are_more_than_a_hundred_bad_files_and_no_two_are_the_same() -> None:
    texts = [(path.parts[1], path.read_text(encoding="utf-8")) for path in files("bad")]
    assert len(texts) > 100
    assert len(set(texts)) == len(texts)
