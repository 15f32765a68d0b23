"""Follow the README and the pages about results in one lab that has runs.

What is not executed there is named, with the reason.
"""

from __future__ import annotations

import re
import shlex
import subprocess

from orchestrator.domain.errors import ExitCode
from tests.lab import Lab
from tests.system.followed import ELSEWHERE
from tests.system.readers import commands, page_of

PROGRAMS = frozenset({"benchfleet", "make", "pip", "python3", "sh", "tar"})
"""Other lines of four blanks are of YAML and Python."""

JUDGED = "--fail-on-regression"
"""Whether two runs differ is chance here."""

_FIRST_INT8 = "SELECT min(attempt_id) AS id FROM v_history WHERE variant = 'int8' AND kind = 'measure'"


def profiled(sweep: str) -> str:
    """Return the text of a sweep with profiles, on a runtime that has a profiler, and short."""
    short = re.sub(r"^trials: .*$", "trials: 2", sweep, flags=re.MULTILINE)
    short = re.sub(r"^runtimes: .*$", "runtimes: [tflite-runtime==2.14.0]", short, flags=re.MULTILINE)
    return short + "profile: operators\n"


def follow(lab: Lab, page: str) -> int:
    """Execute the commands of a page that are not named as followed elsewhere, and return their number."""
    asked = [words for words in commands(page) if words[0] in PROGRAMS]
    left_out = {shlex.join(shlex.split(line)) for line in ELSEWHERE[page]}
    executed = {shlex.join(words): words for words in asked if shlex.join(words) not in left_out}
    for words in executed.values():
        _execute(lab, words)
    return len(executed)


def _execute(lab: Lab, words: list[str]) -> None:
    assert words[0] == "benchfleet", words
    if words[1:] == ["serve"]:
        _serve(lab)
        return
    arguments = words[1 : words.index(">")] if ">" in words else words[1:]
    if arguments[:2] == ["replay", "4711"]:
        (row,) = lab.rows(_FIRST_INT8)
        arguments[1] = str(row["id"])
    done = lab.run(*arguments, timeout_s=300)
    fine = {ExitCode.FINE, ExitCode.REGRESSION} if JUDGED in words else {ExitCode.FINE}
    assert done.returncode in fine, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    if ">" in words:
        lab.write(words[-1], done.stdout)


def _serve(lab: Lab) -> None:
    """Serve until a page has answered. The port is a free one, since others may have the usual one."""
    with lab.start("serve", "--port", "0", stderr=subprocess.PIPE) as server:
        assert "quickstart" in page_of(server, "runs")
