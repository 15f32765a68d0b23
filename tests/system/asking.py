"""Ask the questions of docs/questions.md as the page does, but shorter."""

from __future__ import annotations

import re
import shlex

from orchestrator.domain.errors import ExitCode
from tests.lab import REPOSITORY, Lab
from tests.system.readers import commands_in, page

BRIEF = ("--set", "measure.seconds_min=0.05", "--set", "measure.warmup.seconds_min=0.0")
"""Long enough for a table: no test asks how fast anything is on this machine."""

SHORT = ("--trials", "1", *BRIEF)


def sections() -> dict[str, list[list[str]]]:
    """Return the commands below each heading of the page, without headings that have none."""
    _, *parts = re.split(r"^## (.*)$", page("questions"), flags=re.MULTILINE)
    found = {heading: commands_in(text) for heading, text in zip(parts[::2], parts[1::2], strict=True)}
    return {heading: asked for heading, asked in found.items() if asked}


def ask(lab: Lab, heading: str, *options: str, ends: ExitCode = ExitCode.FINE) -> None:
    """Execute the commands below a heading, the run with further options. `ends` is how the run ends."""
    for words in sections()[heading]:
        here = [str(REPOSITORY / word) if word.startswith("sweeps/") else word for word in words[1:]]
        done = lab.run(*here, *(options if words[1] == "run" else ()), timeout_s=800)
        expected = ends if words[1] == "run" else ExitCode.FINE
        assert done.returncode == expected, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
