"""Every report in every format: the same facts, in a declared shape, harmless wherever they are shown."""

from __future__ import annotations

import ast
import csv
import dataclasses
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

import orchestrator
from orchestrator.domain import errors
from orchestrator.domain.annotation import Annotation
from orchestrator.domain.baseline import Baseline
from orchestrator.domain.bisection import Bisection, Step
from orchestrator.domain.comparison import Comparison, ComparisonGroup, ComparisonRow, OutputsAgreement, Ratio, Side
from orchestrator.domain.condition import ConditionUse
from orchestrator.domain.device import Device, Limits
from orchestrator.domain.errors import ConfigError, OrchestratorError, Unreachable
from orchestrator.domain.lease import Lease
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.model import Model, Variant
from orchestrator.domain.plan.values import DevicePlan
from orchestrator.domain.power import PowerUse
from orchestrator.domain.recovery import Quarantine, Recovery, RecoveryEvent
from orchestrator.domain.regression import Figures, Regression, RegressionEvent
from orchestrator.domain.regression_details import RegressionDetails
from orchestrator.domain.run import DeviceRun, ExcludedCell, MissingTrial, RunHeader, RunRecord, RunSummary
from orchestrator.domain.run_details import RunDetails
from orchestrator.reporting import formats
from orchestrator.reporting.formats import FORMATS, formats_for
from orchestrator.reporting.formats.markdown import escaped
from orchestrator.reporting.json_document import json_document, json_schema
from orchestrator.reporting.report import Case, CaseOutcome, Report, Suite
from orchestrator.reporting.reports.catalogue import COMMANDS
from orchestrator.reporting.reports.failure import ERROR, all_codes
from orchestrator.reporting.shape import View, all_views
from tests.published import validator_of
from tests.unit.reporting.declared import REPORTS

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parents[3] / "docs"
TESTED = [name for name, report in REPORTS.items() if report.cases is not None]
REDRAW = "python -m orchestrator.reporting.json_document"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(report: Report, form: str, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    FORMATS[form].write(report, stream)
    return stream.getvalue()


def commands_of(report: Report) -> list[str]:
    return [command for command, shape in COMMANDS.items() if shape is report.shape]


def test_every_shape_has_a_sample_and_every_sample_a_command() -> None:
    assert {id(report.shape) for report in REPORTS.values()} == {id(shape) for shape in COMMANDS.values()}


@pytest.mark.parametrize("name", REPORTS)
def test_json_is_byte_for_byte_as_it_was_promised(name: str) -> None:
    assert written(REPORTS[name], "json") == (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REPORTS)
def test_json_keeps_to_the_published_schema(name: str) -> None:
    for command in commands_of(REPORTS[name]):
        validator_of(command).validate(json.loads(written(REPORTS[name], "json")))


def test_the_schema_finds_a_key_that_is_missing_and_a_value_of_another_kind() -> None:
    (first, *_) = json.loads(written(REPORTS["runs"], "json"))
    lacking = {key: value for key, value in first.items() if key != "state"}
    for wrong in (lacking, {**first, "trials": "ten"}, {**first, "state": "asleep"}):
        with pytest.raises(jsonschema.ValidationError):
            validator_of("runs list").validate([wrong])


def test_the_documents_say_what_the_code_does() -> None:
    assert (DOCS / "json.md").read_text(encoding="utf-8") == json_document(), REDRAW
    assert json.loads((DOCS / "json.schema.json").read_text(encoding="utf-8")) == json_schema(), REDRAW
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("name", REPORTS)
def test_csv_has_the_declared_columns_and_single_values_in_them(name: str) -> None:
    report = REPORTS[name]
    assert report.shape is not None
    heading, *lines = list(csv.reader(io.StringIO(written(report, "csv"))))
    assert heading == list(report.shape.columns())
    assert len(set(heading)) == len(heading)
    assert lines
    assert {len(line) for line in lines} == {len(heading)}
    for line in report.rows().lines:
        assert not [value for value in line if isinstance(value, list | dict)]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", REPORTS)
def test_no_format_lets_a_control_character_reach_a_terminal(name: str, form: str) -> None:
    if form not in formats_for(has_cases=name in TESTED):
        return
    text = written(REPORTS[name], form, Terminal())
    lines = text.replace("\x1b[0m", "")
    assert "\x1b[2J" not in lines
    assert not [one for one in text if unicodedata.category(one) == "Cf"]


@pytest.mark.parametrize("name", [name for name, report in REPORTS.items() if report.page is None])
def test_a_markdown_table_has_as_many_cells_in_each_line(name: str) -> None:
    lines = written(REPORTS[name], "markdown").splitlines()
    bars = Counter(line.replace("\\|", "").count("|") for line in lines)
    assert len(bars) == 1
    assert lines[1].replace("-", "").replace("|", "").strip() == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("see https://evil.example/x", r"see https\://evil.example/x"),
        ("FTP://evil.example", r"FTP\://evil.example"),
        ("at www.evil.example and WWW.evil.example", r"at www\.evil.example and WWW\.evil.example"),
        ("pi-03: 1.5 s", "pi-03: 1.5 s"),
    ],
)
def test_a_bare_address_in_a_devices_words_is_no_link_in_markdown(words: str, expected: str) -> None:
    assert escaped(words) == expected


@pytest.mark.parametrize("name", TESTED)
def test_junit_has_the_shape_that_build_servers_read(name: str) -> None:
    root = ElementTree.fromstring(written(REPORTS[name], "junit"))
    assert root.tag == "testsuites"
    every = root.findall("testsuite/testcase")
    assert every
    check_counts(root, every)
    for suite in root:
        assert suite.tag == "testsuite"
        cases = suite.findall("testcase")
        assert len(cases) == len(suite)
        check_counts(suite, cases)
        names = [case.attrib["name"] for case in cases]
        assert len(set(names)) == len(names), "a build server tells cases apart by their names"
        for case in cases:
            assert {"classname", "name"} == set(case.attrib)
            assert case.attrib["classname"] == suite.attrib["name"]
            assert [child.tag for child in case] in ([], ["system-out"], ["failure"], ["error"], ["skipped"])


def check_counts(element: ElementTree.Element, cases: list[ElementTree.Element]) -> None:
    assert int(element.attrib["tests"]) == len(cases)
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert int(element.attrib[attribute]) == sum(case.find(tag) is not None for case in cases)


def cases_of(name: str) -> dict[str, ElementTree.Element | None]:
    root = ElementTree.fromstring(written(REPORTS[name], "junit"))
    return {
        f"{suite.attrib['name']}: {case.attrib['name']}": next(iter(case), None) for suite in root for case in suite
    }


def test_junit_of_a_run_tells_devices_trials_and_excluded_cells_apart() -> None:
    cases = cases_of("run")
    lost = cases["pi-04: device"]
    assert lost is not None
    assert (lost.tag, lost.attrib["type"]) == ("error", "failed")
    assert "host key changed" in lost.attrib["message"]
    assert cases["pi-03: device"] is None
    measured = cases["pi-03: fp32 · tflite-runtime==2.14.0 · threads=1"]
    assert measured is not None
    assert measured.tag == "system-out"
    failed = [one for one in cases.values() if one is not None and one.tag == "failure"]
    assert [one.attrib["type"] for one in failed] == ["failed", "failed"]
    assert "SIGSEGV" in failed[0].attrib["message"]
    left_out = cases["pi-03: int8"]
    assert left_out is not None
    assert left_out.tag == "skipped"
    assert left_out.attrib["message"].startswith("no wheel")


def test_junit_of_a_comparison_fails_what_regressed_and_judges_nothing_that_is_open() -> None:
    elements = [one for one in cases_of("compare").values() if one is not None]
    tags = Counter(one.tag for one in elements)
    assert tags == {"failure": 1, "skipped": 3, "system-out": 1}
    (regressed,) = (one for one in elements if one.tag == "failure")
    assert (regressed.attrib["type"], regressed.attrib["message"]) == (
        "regressed",
        "regressed: ratio 1.03 [1.015, 1.045]",
    )


def test_junit_is_xml_whatever_a_device_says() -> None:
    said = "<a href='x'>&amp;]]>\x00\x1b\x7f\x85\ud800\ufffe\uffff\U0001ffff\"'\u202e"
    case = Case(said, CaseOutcome.FAILURE, said, said, said + "\nnext")
    report = Report(None, None, lambda: "", lambda: [Suite(said, (case,))])
    root = ElementTree.fromstring(written(report, "junit"))
    (failure,) = root.iter("failure")
    assert "<a href='x'>" in failure.attrib["message"]
    assert str(failure.text).endswith("\nnext")


def test_every_format_is_a_file_and_a_line_of_the_table() -> None:
    for entry in FORMATS.values():
        assert callable(import_module(f"{formats.__name__}.{entry.module}").write)
    assert formats_for(has_cases=True) == tuple(FORMATS)
    assert set(FORMATS) - set(formats_for(has_cases=False)) == {"junit"}


def test_errors_have_codes_of_their_own_which_no_rename_of_a_class_changes() -> None:
    class Renamed(ConfigError):
        """A class that forgot to declare its code would have its parent's."""

    assert Renamed("bad").code == "ConfigError"
    codes = [code for code, _ in all_codes()]
    assert len(set(codes)) == len(codes)
    for kind in _error_classes():
        assert "code" in vars(kind), f"{kind} declares no code"


@pytest.mark.system
def test_every_error_is_declared_in_the_module_of_errors() -> None:
    """The page of codes lists that module: an error of any other module would be missing from it."""
    known = {kind.__name__ for kind in _error_classes()}
    elsewhere = {
        f"{path}: {node.name}"
        for path in Path(orchestrator.__file__).parent.rglob("*.py")
        if path != Path(errors.__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and known & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    }
    assert not elsewhere


def _error_classes() -> list[type[OrchestratorError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, OrchestratorError)]


def test_errors_say_what_and_where_and_what_to_do() -> None:
    lost = Unreachable("connection refused", "is it on?").at("pi-03", "connect")
    assert ERROR.plain(lost) == {
        "error": "Unreachable",
        "message": "connection refused",
        "hint": "is it on?",
        "device": "pi-03",
        "step": "connect",
    }
    assert ERROR.plain(ConfigError("bad")) == {"error": "ConfigError", "message": "bad", "hint": None}


def test_a_key_is_declared_once_in_each_view() -> None:
    views: list[View[object]] = [shape.row for shape in COMMANDS.values()]
    for view in views:
        names = [key.name for key in view.keys]
        assert len(set(names)) == len(names)


LEFT_OUT: Mapping[type, set[str]] = {
    RunSummary: {"counts"},  # a key for each of them
    RunHeader: {"further"},  # among `models`
    ComparisonGroup: {"named_model"},  # the model once more, where tables need it
    Model: {"inputs", "output", "state"},  # for the device: a person reads them in model.yaml
    # the shipped document says all of these
    DevicePlan: {"jobs", "trials", "blobs"},
    # the headline metric of a run is never one of power
    # nor are its cells compared with those of another run, and its only accuracy is that of the sweep
    CellResult: {
        "sources",
        "unmeasured",
        "cautions",
        "clipped_ratio",
        "absent",
        "accuracy_metric",
        "failures",
        "series",
        "builds",
        "environments",
    },
    # the series of a whole run are what `runs show` lists
    Baseline: {"measured"},
    # part of `reasons`
    Comparison: {"overall"},
    # what becomes of these devices is another controller's to say
    # and what may fail is in the sweep's document
    RunDetails: {"taken_over", "allowed", "effort"},  # printed as measuring_s and sessions
    # printed as `retries`, the word of the inventory file
    Recovery: {"connect_retries"},
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("run-summary", RunSummary),
        ("run-header", RunHeader),
        ("device-run", DeviceRun),
        ("run-record", RunRecord),
        ("run-details", RunDetails),
        ("missing-trial", MissingTrial),
        ("cell", Cell),
        ("cell-result", CellResult),
        ("excluded-cell", ExcludedCell),
        ("recovery-event", RecoveryEvent),
        ("power-use", PowerUse),
        ("condition-use", ConditionUse),
        ("comparison", Comparison),
        ("comparison-group", ComparisonGroup),
        ("comparison-row", ComparisonRow),
        ("side", Side),
        ("ratio", Ratio),
        ("outputs-agreement", OutputsAgreement),
        ("device-plan", DevicePlan),
        ("inventory-device", Device),
        ("limits", Limits),
        ("recovery", Recovery),
        ("lease", Lease),
        ("quarantine", Quarantine),
        ("model", Model),
        ("variant", Variant),
        ("baseline-level", Baseline),
        ("regression", Regression),
        ("regression-figures", Figures),
        ("regression-event", RegressionEvent),
        ("regression-details", RegressionDetails),
        ("annotation", Annotation),
        ("bisection", Bisection),
        ("bisection-step", Step),
    ],
)
def test_a_new_field_of_the_domain_is_printed_or_left_out_on_purpose(name: str, kind: type) -> None:
    """A fact must not be lost on its way out because nobody thought of declaring a key for it."""
    view = all_views(shape.json for shape in COMMANDS.values())[name]
    keys = {key.name for key in view.keys}
    assert {field.name for field in dataclasses.fields(kind)} - keys == LEFT_OUT.get(kind, set())
