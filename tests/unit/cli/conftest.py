"""Runs the command in this process, as its console script would, and tells how it ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.cli.app import main
from tests.unit.cli.processes import REPOSITORY

# COLUMNS too, which the workers of pytest-xdist have: a table would fold there, and nowhere else.
_FOREIGN = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "COLUMNS")


@dataclass(frozen=True)
class Ended:
    """What one command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Return what runs `benchfleet WORDS…` in a folder of its own, with nothing of the developer's settings."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in (*_FOREIGN, "BENCHFLEET_DB", "BENCHFLEET_CONFIG", "BENCHFLEET_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    # The models of this checkout, as a person with one folder of models beside many sweeps names them.
    monkeypatch.setenv("BENCHFLEET_MODELS", str(REPOSITORY / "models"))

    def run(*words: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["benchfleet", *words])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return Ended(int(end.value.code or 0), printed.out, printed.err)

    yield run
    signal.signal(signal.SIGTERM, before)
