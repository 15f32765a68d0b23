from __future__ import annotations

import contextlib
import io
import re
from dataclasses import dataclass

import pytest
from rich.console import Console

from orchestrator.domain.conversation import Step
from orchestrator.domain.run import DeviceRunState, TrialChange, TrialState
from orchestrator.reporting.live.lines import REPEAT_S, LineDisplay
from orchestrator.reporting.live.progress import RunDisplay, SilentDisplay, run_display
from orchestrator.reporting.live.terminal import LiveDisplay
from orchestrator.reporting.live.words import outcome
from tests.unit.reporting.rendering import drawn

LABEL = "int8 · tflite-runtime==2.14.0 · threads=1"


@dataclass
class FakeClock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def console(*, terminal: bool = False, height: int = 12) -> Console:
    return Console(
        file=io.StringIO(),
        width=100,
        height=height,
        force_terminal=terminal,
        markup=False,
        highlight=False,
        _environ={"TERM": "xterm"},
    )


def printed(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def measured(device: str, number: int, p50_ns: float = 41_873.0) -> TrialChange:
    return TrialChange(device, f"j.{number}", LABEL, TrialState.MEASURED, "measure", p50_ns, 51.2)


def running(device: str, number: int) -> TrialChange:
    return TrialChange(device, f"j.{number}", LABEL, TrialState.RUNNING, "measure")


def failed(device: str, number: int, why: str = "killed-by-signal: SIGSEGV") -> TrialChange:
    return TrialChange(device, f"j.{number}", LABEL, TrialState.FAILED, "measure", failure=why)


def play(display: RunDisplay) -> None:
    with display:
        display.step("pi-03", Step.CONNECT, "")
        display.planned("pi-03", 3, 1)
        display.changed(TrialChange("pi-03", "j.0", LABEL, TrialState.MEASURED, "preflight"))
        display.changed(running("pi-03", 1))
        display.changed(measured("pi-03", 1))
        display.changed(failed("pi-03", 2, "killed-by-signal: SIGSEGV \x1b[2J"))
        display.device_ended("pi-03", DeviceRunState.COMPLETE, None, None)
        display.device_ended("c", DeviceRunState.FAILED, "c: connect: refused [red]", "is it on?")


def test_lines_tell_each_step_each_finished_trial_and_each_end() -> None:
    on = console()
    play(LineDisplay(on))

    assert printed(on) == (
        "pi-03  connect\n"
        "pi-03  3 trials planned, 1 cell excluded: benchfleet plan says why\n"
        f"pi-03  1/3  {LABEL}  preflight ok\n"
        f"pi-03  2/3  {LABEL}  p50 41.9 µs\n"
        f"pi-03  3/3  {LABEL}  failed: killed-by-signal: SIGSEGV \\x1b[2J\n"
        "pi-03  complete  1 measured, 1 failed, 1 preflight ok, 1 cell excluded\n"
        "c      failed: connect: refused [red]\n"
        "c      hint: is it on?\n"
    )


def test_a_step_that_goes_on_is_told_only_now_and_then(clock: FakeClock) -> None:
    on = console()
    display = LineDisplay(on, clock)
    for second in range(12):
        clock.now = second
        display.step("pi-03", Step.UPLOAD, f"{12 - second} MB")
    display.step("pi-03", Step.UPLOAD, "2 MB")

    assert printed(on).splitlines() == ["pi-03  upload  12 MB", "pi-03  upload  7 MB", "pi-03  upload  2 MB"]


def test_every_rung_of_a_recovery_is_told(clock: FakeClock) -> None:
    on = console()
    display = LineDisplay(on, clock)
    for rung in ("retry", "power-cycle", "quarantine"):
        display.step("pi-03", Step.RECOVER, f"{rung}: no answer")
    words = [line.split()[2] for line in printed(on).splitlines()]
    assert words == ["retry:", "power-cycle:", "quarantine:"]


def test_a_trial_that_is_tried_again_counts_once() -> None:
    on = console()
    display = LineDisplay(on)
    display.planned("pi-03", 2, 0)
    display.changed(TrialChange("pi-03", "j.1", LABEL, TrialState.INVALID, "measure", failure="throttled"))
    display.changed(running("pi-03", 1))
    display.changed(measured("pi-03", 1))

    assert printed(on).splitlines()[1:] == [
        f"pi-03  1/2  {LABEL}  invalid: throttled",
        f"pi-03  1/2, 1 tried again  {LABEL}  p50 41.9 µs",
    ]


def test_a_reason_is_told_once_for_each_cell_and_a_skip_not_by_the_number_of_its_preflight() -> None:
    on = console()
    display = LineDisplay(on)
    display.changed(failed("pi-03", 1, "load-error: no op"))
    display.changed(failed("pi-03", 2, "load-error: no op"))
    display.changed(failed("pi-03", 3, "timeout"))
    skipped = "its preflight 2df1bdab5959.0 failed: load-error: no op"
    display.changed(TrialChange("pi-03", "j.4", LABEL, TrialState.SKIPPED, "measure", failure=skipped))
    display.changed(TrialChange("pi-03", "k.1", "fp32", TrialState.SKIPPED, "measure", failure=skipped))

    assert [line.partition("  ")[2].split("  ")[-1] for line in printed(on).splitlines()] == [
        "failed: load-error: no op",
        "failed: as before",
        "failed: timeout",
        "skipped: as before",
        "skipped: its preflight failed: load-error: no op",
    ]


def test_a_lost_link_is_told_as_such_while_the_device_goes_on() -> None:
    on = console()
    display = LineDisplay(on)
    for step, detail in (
        (Step.CONNECT, ""),
        (Step.FOLLOW, ""),
        (Step.CONNECT, "attempt 1"),
        (Step.RECOVER, "reconnect: it was lost"),
        (Step.FOLLOW, ""),
        (Step.RECOVER, "reboot: no answer"),
        (Step.CONNECT, "attempt 1"),
    ):
        display.step("pi-03", step, detail)

    assert [line.removeprefix("pi-03  ") for line in printed(on).splitlines()] == [
        "connect",
        "follow",
        "connect  attempt 1: link lost, device goes on",
        "recover  reconnect: it was lost",
        "follow",
        "recover  reboot: no answer",
        "connect  attempt 1",
    ]


def test_the_last_value_of_another_cell_does_not_stand_beside_a_cell(clock: FakeClock) -> None:
    display = LiveDisplay(console(terminal=True), clock)
    display.changed(measured("pi-03", 1))
    display.changed(TrialChange("pi-03", "k.1", "fp32 · tflite-runtime==2.14.0 · threads=1", TrialState.RUNNING, "m"))
    (line,) = (line for line in drawn(display.render()).splitlines() if line.startswith("pi-03"))
    assert "fp32" in line
    assert "µs" not in line


def test_progress_stands_at_its_total_while_trials_are_tried_again(clock: FakeClock) -> None:
    display = LiveDisplay(console(terminal=True), clock)
    display.planned("pi-03", 3, 0)
    for number in range(3):
        display.changed(TrialChange("pi-03", f"j.{number}", LABEL, TrialState.INVALID, "measure", failure="other-load"))
    display.changed(running("pi-03", 0))
    text = drawn(display.render())
    assert re.search(r"^pi-03 +retry 1: 0/3 +3/3 ", text, re.MULTILINE)
    assert "3/3 trials, 1 tried again (2 invalid)" in text


def test_each_round_of_retries_shows_how_far_it_is(clock: FakeClock) -> None:
    """Trials 0 to 2 are invalid, trial 1 once and the others twice, and the last round is under way."""
    on = console()
    display, lines = LiveDisplay(console(terminal=True), clock), LineDisplay(on, clock)

    def change(number: int, state: TrialState) -> None:
        for shown in (display, lines):
            shown.changed(TrialChange("pi-03", f"j.{number}", LABEL, state, "measure", failure="other-load"))

    for shown in (display, lines):
        shown.planned("pi-03", 3, 0)
    for number in range(3):
        change(number, TrialState.INVALID)
    for number, state in (
        (0, TrialState.INVALID),
        (1, TrialState.MEASURED),
        (2, TrialState.INVALID),
        (0, TrialState.INVALID),
    ):
        change(number, TrialState.RUNNING)
        change(number, state)
    change(2, TrialState.RUNNING)

    text = drawn(display.render())
    assert re.search(r"^pi-03 +retry 2: 1/2 +3/3 ", text, re.MULTILINE)
    assert "3/3 trials, 3 tried again 5 times (1 invalid)" in text
    told = [line.split(f"  {LABEL}")[0] for line in printed(on).splitlines()]
    assert told[4:] == [f"pi-03  3/3, retry {words}" for words in ("1: 1/3", "1: 2/3", "1: 3/3", "2: 1/2")]


def test_before_its_plan_is_known_a_device_has_no_total() -> None:
    on = console()
    LineDisplay(on).changed(measured("pi-03", 1))

    assert printed(on) == f"pi-03  1  {LABEL}  p50 41.9 µs\n"


def test_a_plan_that_is_told_again_counts_from_what_was_shown() -> None:
    on = console()
    display = LineDisplay(on)
    display.planned("pi-03", 3, 0)
    display.changed(measured("pi-03", 1))
    display.planned("pi-03", 2, 0)  # its runner had ended early: the rest is to come
    display.changed(measured("pi-03", 2))
    display.planned("pi-03", 3, 0)  # one failed, and runs again
    display.changed(measured("pi-03", 3))

    assert printed(on).splitlines() == [
        "pi-03  3 trials planned",
        f"pi-03  1/3  {LABEL}  p50 41.9 µs",
        f"pi-03  2/3  {LABEL}  p50 41.9 µs",
        "pi-03  3 more trials planned",
        f"pi-03  3/5  {LABEL}  p50 41.9 µs",
    ]


def test_a_long_line_of_a_log_is_not_folded() -> None:
    on = console()
    LineDisplay(on).changed(failed("pi-03", 1, "x" * 300))

    assert len(printed(on).splitlines()) == 1


def test_live_shows_busy_devices_with_their_trial_cell_p50_temperature_and_time(clock: FakeClock) -> None:
    display = LiveDisplay(console(terminal=True), clock)
    display.step("pi-03", Step.CONNECT, "")
    display.planned("pi-03", 40, 0)
    display.step("pi-04", Step.UPLOAD, "51.2 MB")
    display.changed(measured("pi-03", 1))
    display.changed(running("pi-03", 2))
    clock.now = 192.0

    assert drawn(display.render()) == (
        "device  state    trial  cell                                           p50   temp     elapsed\n"
        "pi-03   running   1/40  int8 · tflite-runtime==2.14.0 · threads=1  41.9 µs  51 °C  3 min 12 s\n"
        "pi-04   upload          51.2 MB                                                    3 min 12 s\n"
        "2 busy · 1 trial · 3 min 12 s\n"
    )


def test_live_shows_the_latest_devices_of_many_and_counts_the_rest(clock: FakeClock) -> None:
    display = LiveDisplay(console(terminal=True, height=10), clock)
    for number in range(60):
        clock.now = number
        display.planned(f"pi-{number:02d}", 10, 0)
    display.changed(measured("pi-07", 1))
    lines = drawn(display.render()).splitlines()

    assert len(lines) <= 10
    assert [line[:5] for line in lines[1:7]] == ["pi-07", "pi-55", "pi-56", "pi-57", "pi-58", "pi-59"]
    assert lines[-2] == "… and 54 more devices: 54 planned"
    assert lines[-1] == "60 busy · 1/600 trials · 59 s"


def test_live_counts_the_devices_that_are_still_to_come(clock: FakeClock) -> None:
    display = LiveDisplay(console(terminal=True), clock)
    for number in range(3):
        display.step(f"pi-{number}", Step.CONNECT, "")
    display.step("pi-0", Step.START_WORKER, "")
    assert "connecting: 3 of 3 to come" in drawn(display.render())

    display.step("pi-0", Step.UPLOAD, "")
    assert "connecting: 2 of 3 to come" in drawn(display.render())

    display.step("pi-0", Step.CONNECT, "attempt 1")  # a link that was lost
    display.planned("pi-1", 40, 0)
    display.device_ended("pi-2", DeviceRunState.FAILED, "it is off", None)
    assert "to come" not in drawn(display.render())


def test_lines_count_the_devices_that_are_still_to_come_now_and_then(clock: FakeClock) -> None:
    on = console()
    display = LineDisplay(on, clock)
    for number in range(3):
        display.step(f"pi-{number}", Step.CONNECT, "")
    assert "to come" not in printed(on)

    clock.now += REPEAT_S
    display.step("pi-0", Step.UPLOAD, "")
    display.step("pi-1", Step.UPLOAD, "")

    assert printed(on).count("connecting: 2 of 3 to come\n") == 1


def test_live_leaves_on_the_terminal_what_went_wrong_and_how_it_ended() -> None:
    on = console(terminal=True)
    display = LiveDisplay(on)
    play(display)
    text = printed(on)

    assert f"pi-03  {LABEL}  failed: killed-by-signal: SIGSEGV \\x1b" in text
    assert "c  failed: connect: refused [red]" in text
    assert "hint: is it on?" in text
    assert "1 complete · 1 failed · 3/3 trials (1 failed)" in text.splitlines()[-1]
    assert "\x1b[2J" not in text


def test_live_leaves_failures_to_the_report_that_follows_unless_somebody_interrupts() -> None:
    on = console(terminal=True)
    with contextlib.suppress(KeyboardInterrupt), LiveDisplay(on, is_reported=True) as display:
        display.device_ended("c", DeviceRunState.FAILED, "c: connect: refused", "is it on?")
    assert "is it on?" not in printed(on)

    on = console(terminal=True)
    with contextlib.suppress(KeyboardInterrupt), LiveDisplay(on, is_reported=True) as display:
        display.device_ended("c", DeviceRunState.FAILED, "c: connect: refused", "is it on?")
        raise KeyboardInterrupt
    assert "is it on?" in printed(on)


def test_live_shows_nothing_of_a_command_that_is_refused_before_it_begins() -> None:
    on = console(terminal=True)
    with LiveDisplay(on):
        pass
    assert "trials" not in printed(on)


def test_live_restores_the_cursor_when_the_run_breaks() -> None:
    on = console(terminal=True)
    with contextlib.suppress(KeyboardInterrupt), LiveDisplay(on) as display:
        display.step("pi-03", Step.CONNECT, "")
        raise KeyboardInterrupt

    assert printed(on).rindex("\x1b[?25h") > printed(on).rindex("\x1b[?25l")


def test_silence_is_silent() -> None:
    play(SilentDisplay())


def test_the_display_follows_from_where_it_is_shown() -> None:
    assert isinstance(run_display(console(terminal=True)), LiveDisplay)
    assert isinstance(run_display(console()), LineDisplay)
    assert isinstance(run_display(console(terminal=True), silent=True), SilentDisplay)


def test_a_spared_trial_tells_what_the_stop_rule_found() -> None:
    reason = "stop rule: 7 trials agree within 0.7 %, and 1 % is asked for"
    change = TrialChange("pi-03", "a.8", "int8", TrialState.SPARED, "measure", failure=reason)
    assert outcome(change, is_known=True).plain == f"spared by the {reason}"
