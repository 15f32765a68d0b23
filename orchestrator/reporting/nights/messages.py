"""Write the messages of a night: a message for each cause, and none for a quiet night."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.message import Message
from orchestrator.domain.night import LostDevice, NightGroup, NightReport, NightStage, NightVerdict
from orchestrator.reporting.nights import words
from orchestrator.reporting.nights.page import LABEL_MAX, TEXT_MAX, short
from orchestrator.reporting.text import clean

MESSAGES_MAX = 20
"""The most messages of a night. A lab without power must not fill a chat."""

_CELLS_MAX = 10
_EARLY = (NightStage.CANARY, NightStage.FIRST_LOOK)


def messages(report: NightReport) -> tuple[Message, ...]:
    """Return a message for each failing group of cells, each lost device, and each fixed group."""
    found = [*_messages(report)]
    if len(found) <= MESSAGES_MAX:
        return tuple(found)
    left_out = words.counted(len(found) - MESSAGES_MAX + 1, "more message")
    rest = f"{words.headline(report)}\n\nbenchfleet nightly show {clean(report.night)}"
    return (*found[: MESSAGES_MAX - 1], Message(f"{clean(report.nightly)}: {left_out}", rest))


def _messages(report: NightReport) -> Iterator[Message]:
    # A device has one message, however many stages lost the device, and its missing cells are no further cause.
    lost_devices = {lost.device: lost for lost in reversed(report.lost)}
    for group in report.groups:
        lost_at = lost_devices.get(group.first.cell.device)
        # Whoever is lost in a later stage has measured every cell before, or lacks a value for a reason of its own.
        is_told = group.first.verdict is NightVerdict.MISSING and lost_at is not None and lost_at.stage in _EARLY
        if group.first.fails and not is_told:
            yield _of_group(report, group, is_good=False)
    yield from (_of_device(report, lost) for _, lost in sorted(lost_devices.items()))
    for group in report.groups:
        if group.first.verdict is NightVerdict.FIXED:
            yield _of_group(report, group, is_good=True)


def _of_group(report: NightReport, group: NightGroup, *, is_good: bool) -> Message:
    first = group.first
    lines = [
        f"{short(cell.label, LABEL_MAX)}: {words.change(cell)}, {words.values(cell)}"
        if cell.estimate is not None
        else short(cell.label, LABEL_MAX)
        for cell in group.cells[:_CELLS_MAX]
    ]
    if len(group.cells) > _CELLS_MAX:
        lines.append(f"and {words.counted(len(group.cells) - _CELLS_MAX, 'more cell')}")
    lines += ["", short(first.reason, TEXT_MAX)]
    if first.rerun:
        lines.append(f"rerun: {first.rerun}")
    what = f"{first.cell.device}: {words.group_line(group)}"
    return _message(report, words.wording(first).sign, what, lines, is_good=is_good)


def _of_device(report: NightReport, lost: LostDevice) -> Message:
    lines = [short(lost.error, TEXT_MAX)]
    if lost.hint:
        lines.append(f"hint: {short(lost.hint, TEXT_MAX)}")
    return _message(report, words.LOST.sign, f"{lost.device}: {words.lost_line(lost)}", lines)


def _message(report: NightReport, sign: str, what: str, lines: list[str], *, is_good: bool = False) -> Message:
    ending = ["", f"night {report.night}: benchfleet nightly show {report.night}"]
    body = "\n".join(clean(line) for line in (*lines, *ending))
    return Message(f"{sign} {clean(short(f'{report.nightly}, {what}', LABEL_MAX))}", body, is_good)
