"""Follow the README and the pages about results in one lab that has runs.

What is not executed there is named, with the reason.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
from urllib.request import urlopen

from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.domain.errors import ExitCode
from tests.lab import Lab
from tests.system.readers import commands

ELSEWHERE = {
    "README": {
        "make demo": "test_demo follows its script",
        "make test": "this suite",
        "python3 -m venv ~/benchfleet && . ~/benchfleet/bin/activate": "test_package installs the wheel",
        "pip install .": "test_package installs the wheel",
        "benchfleet init lab && cd lab": "the lab is one that init wrote",
        "benchfleet run face.tflite": "docs/own-model.md, followed by test_own_models",
        "benchfleet run face.tflite face-int8.tflite --threads 1,2 --trials 10": "docs/own-model.md, with fewer trials",
        "benchfleet devices enroll pi-03": "docs/first-board.md, with a person's yes",
        "benchfleet bisect 12 --candidates builds.txt": "a regression is wanted: test_bisect",
        "benchfleet daemon": "docs/queue.md, with --drain, which ends",
        "benchfleet nightly run nightly.yaml": "docs/nightly.md, followed by test_nightly_document",
        "benchfleet nightly show last --html night.html": "docs/nightly.md",
    },
    "replay": {
        "tar xf int8.tar": "test_replay runs bundles of both forms on another controller",
        "sh int8/run.sh": "test_replay",
        "sh int8/run.sh --select pi-07": "test_replay",
    },
    "measuring": {
        "benchfleet power import last recording.csv --device pi-03 --name joulescope --accuracy 0.5": (
            "a recording of the run's own time is wanted: test_metered_runs"
        ),
    },
    "serve": {
        "pip install benchfleet[web]": "the extra is there",
        "benchfleet serve": "the README has it, too",
        "benchfleet serve --db postgresql://lab@db.example/benchfleet": "test_pages_seen serves both kinds of database",
    },
}
"""By page: commands that are not executed, and what executes them, or why nothing does."""

PROGRAMS = frozenset({"benchfleet", "make", "pip", "python3", "sh", "tar"})
"""Other lines of four blanks are of YAML and Python."""

JUDGED = "--fail-on-regression"
"""Whether two runs differ is chance here."""

_FIRST_INT8 = "SELECT min(attempt_id) AS id FROM v_history WHERE variant = 'int8' AND kind = 'measure'"


def profiled(sweep: str) -> str:
    """Return the text of a sweep with profiles, on a runtime that has a profiler, and short."""
    short = re.sub(r"^trials: .*$", "trials: 2", sweep, flags=re.MULTILINE)
    short = re.sub(r"^runtimes: .*$", "runtimes: [tflite-runtime==2.14.0]", short, flags=re.MULTILINE)
    return short.replace("seconds_min: 0.3", "seconds_min: 0.05") + "profile: operators\n"


def follow(lab: Lab, page: str, name: str) -> int:
    """Execute the commands of a page that are not named as followed elsewhere, and return their number."""
    asked = [words for words in commands(page) if words[0] in PROGRAMS]
    left_out = {shlex.join(shlex.split(line)): why for line, why in ELSEWHERE[name].items()}
    shown = {shlex.join(words) for words in asked}
    assert set(left_out) <= shown, f"no command of the page any more: {set(left_out) - shown}"
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
    if arguments[0] == "run":
        done = lab.run(*arguments, timeout_s=300)
        code, said, errors = done.returncode, done.stdout, done.stderr
    else:
        code, said, errors = _in_this_process(lab, arguments)
    fine = {ExitCode.FINE, ExitCode.REGRESSION} if JUDGED in words else {ExitCode.FINE}
    assert code in fine, f"{shlex.join(words)}\n{said}\n{errors}"
    assert "Traceback" not in errors
    if ">" in words:
        lab.write(words[-1], said)


def _in_this_process(lab: Lab, arguments: list[str]) -> tuple[int, str, str]:
    """Run a command without a start of Python, which takes longer than most commands."""
    unwanted: dict[str, str | None] = {name: None for name in os.environ if name.startswith("BENCHFLEET_")}
    with contextlib.chdir(lab.directory):
        done = CliRunner().invoke(app, arguments, env={**unwanted, **lab.environment})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def _serve(lab: Lab) -> None:
    """Serve until a page has answered. The port is a free one, since others may have the usual one."""
    with lab.start("serve", "--port", "0", stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        try:
            said = server.stderr.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+/", said)
            assert address, said
            with urlopen(f"{address[0]}runs", timeout=60) as answer:
                assert "quickstart" in answer.read().decode()
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=60)
