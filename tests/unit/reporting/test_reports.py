"""Every report as it is drawn; `golden/` holds what a reader should see at a width of 100."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import RenderableType

from orchestrator.domain.device import Limits
from orchestrator.domain.errors import ConfigError, Unreachable
from orchestrator.domain.health import judge_health
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.metric import METRICS
from orchestrator.domain.run_details import RunDetails
from orchestrator.domain.written_file import WrittenFile
from orchestrator.reporting.tables.bisection import bisection_view
from orchestrator.reporting.tables.cell_details import cells_view
from orchestrator.reporting.tables.cleaning import clean_report
from orchestrator.reporting.tables.compare import CompareView
from orchestrator.reporting.tables.compare_metrics import MetricsView
from orchestrator.reporting.tables.fleet import device_table, model_table, probe_report
from orchestrator.reporting.tables.history import annotation_table, level_table, regression_table, regression_view
from orchestrator.reporting.tables.operator_profile import pair_view, profiles_view
from orchestrator.reporting.tables.plans import SweepPlans, plan_report
from orchestrator.reporting.tables.rows import row_table
from orchestrator.reporting.tables.run_difference import difference_view
from orchestrator.reporting.tables.run_list import run_table
from orchestrator.reporting.tables.run_words import said_lines
from orchestrator.reporting.tables.runs import comparison_to_try, run_report
from orchestrator.reporting.tables.series_history import history_view
from orchestrator.reporting.tables.written_files import written_table
from tests.unit.reporting import decided, samples
from tests.unit.reporting.rendering import drawn

GOLDEN = Path(__file__).parent / "golden"
UNREACHABLE = Unreachable("connection refused", "is it on?")
REPORTS: dict[str, RenderableType] = {
    "compare": CompareView(samples.COMPARISON),
    "compare-metrics": MetricsView(samples.IN_METRICS),
    "compare-details": MetricsView(samples.IN_METRICS, details=True),
    "devices": device_table(samples.DEVICES, {"pi-03": (samples.PI_FACTS, samples.BEGAN)}),
    "probe": probe_report(
        {
            "pi-03": samples.PI_FACTS,
            "old": samples.BARE_FACTS,
            "coral-01": Unreachable("no route", "is it on?").at("coral-01", "connect"),
            "x": ConfigError("bad " + samples.HOSTILE),
        },
        {
            name: judge_health(facts, Limits())
            for name, facts in (("pi-03", samples.PI_FACTS), ("old", samples.BARE_FACTS))
        },
    ),
    "clean": clean_report(samples.CLEANED, dry_run=False),
    "models": model_table([samples.MODEL]),
    "plan": plan_report(
        SweepPlans(
            "digits-variants", 7, samples.PLANS, {"coral-01": UNREACHABLE}, sent={"pi-03": frozenset({"b" * 64})}
        )
    ),
    "runs": run_table(samples.SUMMARIES),
    "run": run_report(RunDetails(samples.RUN, samples.MISSING, samples.RESULTS)),
    "said": said_lines(replace(samples.RUN, words=samples.WORDS)),
    "power": run_report(RunDetails(samples.RUN, (), (), power=samples.POWER)),
    "conditions": run_report(RunDetails(samples.RUN, (), (), conditions=samples.CONDITIONS)),
    "recovery": run_report(RunDetails(samples.RUN, (), (), recovery=samples.RECOVERY)),
    "quarantine": device_table(samples.DEVICES, quarantines=samples.QUARANTINED),
    "baseline": level_table(decided.LEVELS),
    "regressions": regression_table([decided.REGRESSION, decided.SUSPECTED]),
    "regression": regression_view(decided.LIFE),
    "cell": cells_view((decided.CELL, decided.UNSAMPLED)),
    "env-diff": difference_view(decided.DIFFERENCE),
    "profile": profiles_view((decided.FP32_PROFILE, decided.NO_PROFILE), 1),
    "profile-pair": pair_view(decided.PROFILE_PAIR),
    "history": history_view((decided.HISTORY, decided.SHORT)),
    "bisect": bisection_view(decided.BISECTION),
    "bisect-cut-off": bisection_view(decided.CUT_OFF),
    "annotate": annotation_table(decided.ANNOTATIONS),
    "rows": row_table(["device", "p50_ns", "note"], [["pi-03", 41873.25, None], [samples.HOSTILE, 1e9, b"12"]]),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_drawn_as_its_golden_file_shows(name: str) -> None:
    assert drawn(REPORTS[name]) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("name", REPORTS)
def test_a_report_keeps_to_the_width_and_lets_no_control_character_through(name: str, width: int) -> None:
    text = drawn(REPORTS[name], width)

    assert max(len(line) for line in text.splitlines()) <= width
    assert {unicodedata.category(character) for character in text} & {"Cc", "Cf"} <= {"Cc"}
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("name", [name for name in REPORTS if name != "rows"])
def test_on_a_terminal_only_styles_are_escape_sequences(name: str) -> None:
    text = drawn(REPORTS[name], terminal=True)

    assert "\x1b[" in text
    assert not re.search(r"\x1b(?!\[[0-9;]*m)", text)


def test_attempts_beyond_a_limit_say_how_far_in_eighty_columns() -> None:
    assert drawn(cells_view((decided.PRESSED,)), 80) == (GOLDEN / "cell-invalid.txt").read_text()


def test_the_end_of_a_failed_attempts_standard_error_is_shown() -> None:
    first, *others = decided.CELL.details.attempts
    words = "\n".join(f"line {number}" for number in range(30)) + "\nImportError: libx.so.1\x1b[2J\n"
    details = replace(decided.CELL.details, attempts=(*others, replace(first, failure="load-error", stderr=words)))
    text = drawn(cells_view((replace(decided.CELL, details=details),)), 120)
    told = text.partition(f"standard error of attempt {first.id}, the end\n")[2]
    assert told.splitlines()[0] == "line 19"
    assert "ImportError: libx.so.1" in told
    assert "\x1b" not in text


def test_names_of_sweeps_are_whole_in_eighty_columns_beside_the_long_names_of_a_nights_runs() -> None:
    night = [replace(samples.SUMMARIES[1], run=f"20240601-220001-1a2b3c4{number}") for number in (1, 2)]
    runs = [replace(one, sweep="quickstart", models=("digits-tiny",)) for one in night]
    assert drawn(run_table(runs), 80) == (GOLDEN / "runs-night.txt").read_text()


def test_paths_of_written_files_are_whole_in_eighty_columns() -> None:
    folder = Path("labx/measurements/run=20240601-k3f9/device=pi-03")
    files = [WrittenFile(folder / "measurements.parquet", "parquet", 20_512, 14_400)]
    assert drawn(written_table(files), 80) == f"written{' ' * 67}size\n{folder}/measurements.parquet  20.5 kB\n"


def test_a_size_that_is_compared_has_one_column() -> None:
    size = next(part for part in samples.IN_METRICS.in_each_metric())
    view = CompareView(replace(size, metric=METRICS["size_bytes"]))
    (head,) = (line for line in drawn(view, 120).splitlines() if line.startswith("variant "))
    assert head.split() == ["variant", "n", "size", "ratio", "verdict", "accuracy", "outputs"]


def test_a_device_that_measures_no_power_is_a_line_with_the_reason() -> None:
    text = drawn(run_report(RunDetails(samples.RUN, (), (), power=samples.POWER[2:])))
    assert "how power was measured" not in text
    assert "no power of desk: rapl: this user may not read it" in text


def test_a_wide_console_shows_sizes_as_ratios_too() -> None:
    assert "6.91 kB ×0.337" in drawn(REPORTS["compare"], 120)


def test_a_narrow_console_puts_the_verdict_below_the_ratio_and_drops_no_figure() -> None:
    narrow = drawn(REPORTS["compare"], 80)

    assert "×0.480 [0.461–0.502]  6.91 kB    +0.004  differ 0.043," in narrow
    assert re.search(r"^ +faster +top-1 64/64$", narrow, re.MULTILINE)
    for figure in ("20.1 µs", "1 invalid trial excluded", "-0.197", "not comparable"):
        assert figure in narrow


def test_several_metrics_are_one_table_in_eighty_columns() -> None:
    usual = drawn(REPORTS["compare-metrics"], 80)

    (head,) = (line for line in usual.splitlines() if line.startswith("variant "))
    assert head.split() == ["variant", "n", "latency", "p90", "p99", "memory", "energy", "size", "accuracy"]
    assert "--details also has" not in usual


def test_in_a_narrower_console_metrics_give_way_by_name() -> None:
    narrow = drawn(REPORTS["compare-metrics"], 70)

    (head,) = (line for line in narrow.splitlines() if line.startswith("variant "))
    assert head.split() == ["variant", "n", "latency", "p99", "memory", "energy", "size", "accuracy"]
    assert "--details also has latency_ns_p90, for which there is no room here." in narrow


def test_verdicts_stand_below_the_ratios_and_accuracies_say_how_sure_they_are() -> None:
    lines = drawn(REPORTS["compare-metrics"], 80).splitlines()

    def below(variant: str) -> list[str]:
        return lines[1 + next(place for place, line in enumerate(lines) if line.startswith(f"{variant} "))].split()

    assert below("fp16") == ["unsure", "unsure", "unsure", "same", "unsure", "smaller", "identical"]
    assert below("int8") == ["faster", "faster", "faster", "same", "faster", "smaller", "unpaired"]
    assert below("int8-badcal") == ["slower", "slower", "slower", "same", "slower", "smaller", "worse"]


def test_details_are_a_table_for_each_metric_with_what_is_below_all_of_them_once() -> None:
    text = drawn(REPORTS["compare-details"], 100)
    assert [text.count(f"{name} by variant against fp32") for name in samples.FURTHER] == [1, 1, 1, 1]
    assert text.count("What would probably settle the inconclusive latency_ns:") == 1
    assert text.count("equivalent: surely less than") == 1


def test_verdicts_are_coloured_on_a_terminal() -> None:
    text = drawn(REPORTS["compare"], terminal=True)

    assert "\x1b[32mfaster" in text
    assert "\x1b[1;31mslower" in text


def test_a_narrow_list_of_runs_keeps_what_identifies_them() -> None:
    narrow = drawn(run_table([replace(one, sweep="digits-variants") for one in samples.SUMMARIES]), 80)

    assert "took" not in narrow
    assert "20240601-k3f9" in narrow
    assert "before" in narrow
    assert "coral-01, pi-03" in narrow
    assert "2024-06-01 03:15" not in narrow


def test_empty_reports_are_drawn_too() -> None:
    assert drawn(run_table([])).startswith("run")
    assert drawn(device_table([])).startswith("device")
    assert drawn(row_table(["a"], [])) == "a\n"
    assert drawn(probe_report({}, {})).strip() == ""


def test_a_device_that_did_not_answer_is_a_row_with_its_reason() -> None:
    lines = drawn(REPORTS["probe"], 160).splitlines()
    (row,) = (line for line in lines if line.startswith("coral-01"))
    assert "error: connect: no route" in row
    assert "hint: coral-01: is it on?" in lines


def result(variant: str, threads: int, device: str = "pi-03", values: tuple[float, ...] = (1.0,)) -> CellResult:
    cell = Cell("r", device, "digits", variant, "exec/my program", {"threads": threads})
    return CellResult(cell, "latency_ns", values, 0, 0, 0, None, None, None)


@pytest.mark.parametrize(
    ("results", "flags"),
    [
        ([result("fp 32", 1), result("int8", 1), result("int8", 1, "pi-04")], "--by variant --base 'fp 32'"),
        ([result("rejected", 1, values=()), result("int8", 1), result("int8", 2)], "--by threads --base 1"),
        ([result("int8", 1), result("int8", 1, "pi-04")], "--by device --base pi-03"),
    ],
)
def test_the_comparison_to_try_is_by_what_was_varied(results: list[CellResult], flags: str) -> None:
    assert comparison_to_try(results) == f"benchfleet compare last {flags}"


def test_one_cell_is_compared_with_nothing() -> None:
    assert comparison_to_try([result("int8", 1)]) is None
    assert comparison_to_try([]) is None


def test_a_plan_for_no_device_is_its_errors_alone() -> None:
    alone = SweepPlans("s", 0, (), {"coral-01": UNREACHABLE})

    assert drawn(plan_report(alone)) == "error: coral-01: connection refused\nhint: is it on?\n"


def test_many_devices_with_the_same_exclusion_are_counted() -> None:
    plans = tuple(samples.PLANS[0] for _ in range(7))

    machines = SweepPlans("s", 7, samples.PLANS, {}, (("pi-03", "pi-04"),))
    assert "about 7 min 24 s" in drawn(plan_report(machines))
    assert "one machine, one after the other: pi-03, pi-04" in drawn(plan_report(machines))
    assert "pi-03, pi-03, pi-03, pi-03 and 3 more" in drawn(plan_report(SweepPlans("s", 7, plans, {})), 160)
