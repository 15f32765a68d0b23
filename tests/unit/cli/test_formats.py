"""`--format` of every command: one rule, real outputs against the published schema."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ExitCode
from orchestrator.domain.facts import Facts
from orchestrator.reporting.formats import FORMATS, formats_for
from orchestrator.reporting.reports.catalogue import COMMANDS
from orchestrator.store.store import open_store
from orchestrator.testing.event_logs import FACTS, STARTED_AT, save_snapshot
from tests.published import validator_of
from tests.unit.cli.commands import LEAVES
from tests.unit.cli.conftest import Command, Ended
from tests.unit.cli.measured_runs import exclude_everything, fail_to_reach, measure

KNOWN = f"known: {', '.join(formats_for(has_cases=False))}"
REPOSITORY = Path(__file__).parents[3]
INVENTORY = ("--inventory", str(REPOSITORY / "inventory" / "local.yaml"))
MODEL = str(REPOSITORY / "models" / "digits")
JUDGED = {"run", "compare", "runs show", "runs follow", "runs resume", "runs cancel", "nightly run", "nightly show"}
READING: dict[str, tuple[str, ...]] = {
    "init": ("lab",),
    "plan": ("sweep.yaml", *INVENTORY),
    "compare": ("last", "--base", "fp32"),
    "devices list": INVENTORY,
    "devices probe": INVENTORY,
    "devices clean": ("local", *INVENTORY, "--dry-run"),
    "devices reserve": ("local", "--for", "1h", "--reason", "a test", *INVENTORY),
    "devices release": ("local", *INVENTORY),
    "devices quarantine": ("local", "--reason", "a test", *INVENTORY),
    "devices readmit": ("local", *INVENTORY),
    "models list": (MODEL,),
    "models verify": (MODEL,),
    "runs list": (),
    "runs show": ("last",),
    "submit": ("sweep.yaml", *INVENTORY, "--name", "queued"),
    "queue list": (),
    "queue move": ("queued", "--first"),
    "queue hold": ("queued",),
    "queue release": ("queued",),
    "queue cancel": ("queued",),
    "schedule add": ("sweep.yaml", *INVENTORY, "--cron", "0 22 * * *", "--name", "nights"),
    "schedule list": (),
    "schedule next": ("nights",),
    "schedule pause": ("nights",),
    "schedule resume": ("nights",),
    "schedule remove": ("nights",),
    "history": ("variant=fp32",),
    "nightly list": (),
    "db upgrade": (),
    "db current": (),
    "sql": ("SELECT device, value FROM v_latest",),
}
"""Commands that need no other machine, in an order in which each finds what it needs."""


@pytest.fixture
def lab(command: Command, tmp_path: Path) -> Command:
    runtime = {"exec": {"name": "shell", "command": ["true"]}}
    sweep = {"sweep": "one", "model": MODEL, "variants": ["fp32"], "runtimes": [runtime]}
    (tmp_path / "sweep.yaml").write_text(json.dumps(sweep))
    database = tmp_path / "benchfleet.db"
    measure(database, {"fp32": (1000, 1001, 1002), "int8": (2000, 2001, 2002)})
    with open_store(str(database)) as store:
        save_snapshot(store, Device("local", TransportKind.LOCAL), Facts(FACTS), STARTED_AT)
    return command


def test_the_catalogue_has_every_command_that_prints_a_declared_result() -> None:
    # An option that prints another result has a line of its own.
    without = {"sql", "serve", "daemon", "export", "schema", "db schema", "runs samples"}
    assert {name.partition(" --")[0] for name in COMMANDS} == set(LEAVES) - without


@pytest.mark.system
def test_every_command_answers_as_its_schema_says(lab: Command) -> None:
    for name, words in READING.items():
        ended = lab(*name.split(), *words, "--format", "json")
        assert ended.code == ExitCode.FINE, f"{name}: {ended.err}"
        if name != "sql":
            validator_of(name).validate(json.loads(ended.out))


@pytest.mark.system
@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_every_command_prints_its_rows(lab: Command, form: str) -> None:
    for name, words in READING.items():
        ended = lab(*name.split(), *words, "--format", form)
        assert ended.code == ExitCode.FINE, f"{name}: {ended.err}"
        heading = ended.out.splitlines()[0]
        columns = list(COMMANDS[name].columns()) if name in COMMANDS else ["device", "value"]
        assert heading == (",".join(columns) if form == "csv" else f"| {' | '.join(columns)} |".replace("_", "\\_"))


@pytest.mark.parametrize("name", sorted(LEAVES.keys() - {"schema", "db schema", "serve", "daemon"}))
def test_only_what_can_pass_or_fail_has_junit_output(name: str) -> None:
    (option,) = (parameter for parameter in LEAVES[name].params if "--format" in parameter.opts)
    assert ("junit" in option.help) == (name in JUDGED)


@pytest.mark.parametrize("name", sorted(READING.keys() - JUDGED))
def test_a_format_that_a_command_has_nothing_for_is_refused_before_anything_is_done(
    command: Command, name: str
) -> None:
    ended = command(*name.split(), *READING[name], "--format", "junit")
    assert ended.code == ExitCode.USAGE
    assert ended.out == ""
    assert ended.err == (f"error: --format junit: this command has no junit output\nhint: {KNOWN}\n")
    assert not Path("lab").exists()


def test_a_format_that_there_is_not_is_refused(command: Command) -> None:
    ended = command("runs", "list", "--format", "xml")
    assert ended.code == ExitCode.USAGE
    assert ended.err == f"error: --format: there is no format 'xml'\nhint: {KNOWN}\n"


def test_json_is_short_for_a_format_and_contradicts_the_others(lab: Command) -> None:
    assert lab("runs", "list", "--json") == lab("runs", "list", "--format", "json")
    assert lab("runs", "list", "--json", "--format", "json") == lab("runs", "list", "--json")
    assert lab("runs", "list", "--format", "table") == lab("runs", "list")
    refused = lab("runs", "list", "--json", "--format", "csv")
    assert refused.code == ExitCode.USAGE
    assert refused.err.startswith("error: --json and --format csv contradict each other\n")


def test_a_run_that_failed_is_in_every_format(command: Command, database_file: Path) -> None:
    fail_to_reach(database_file, "lost", hours=0)
    shown: dict[str, Ended] = {form: command("runs", "show", "lost", "--format", form) for form in FORMATS}
    assert {ended.code for ended in shown.values()} == {ExitCode.INFRASTRUCTURE}
    for form, ended in shown.items():
        assert "connect: timed out" in ended.out, form
    (row,) = csv.DictReader(io.StringIO(shown["csv"].out))
    assert (row["device"], row["device_state"], row["metric"]) == ("pi-03", "failed", "")
    root = ElementTree.fromstring(shown["junit"].out)
    assert (root.attrib["tests"], root.attrib["errors"]) == ("1", "1")


def test_cells_that_were_not_planned_are_skipped_cases(command: Command, database_file: Path) -> None:
    exclude_everything(database_file, "nothing")
    root = ElementTree.fromstring(command("runs", "show", "last", "--format", "junit").out)
    assert (root.attrib["tests"], root.attrib["skipped"], root.attrib["failures"]) == ("3", "2", "0")


def test_a_regression_is_a_failed_case(command: Command, database_file: Path) -> None:
    measure(database_file, {"fp32": (1000, 1001, 1002), "int8": (2000, 2001, 2002)})
    words = ("compare", "last", "--base", "fp32", "--format", "junit", "--fail-on-regression")
    ended = command(*words)
    assert ended.code == ExitCode.REGRESSION
    (failure,) = ElementTree.fromstring(ended.out).iter("failure")
    assert failure.attrib["type"] == "regressed"
    assert failure.attrib["message"].startswith("regressed: ratio 1.999 ")
