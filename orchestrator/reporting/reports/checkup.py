"""Declare what is found of an installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.checkup import Checkup, Finding, Health
from orchestrator.reporting.report import Report
from orchestrator.reporting.shape import TEXT, Key, ListOf, OneOf, OrNull, Shape, View

if TYPE_CHECKING:
    from rich.console import RenderableType

_FINDING = View[Finding](
    "finding",
    "How a part of an installation stands.",
    (
        Key("part", TEXT, "The part: python, packages, settings, inventory, database …", lambda one: one.part),
        Key("health", OneOf(Health), "Only what is wrong stands in the way.", lambda one: one.health),
        Key("words", TEXT, "What was found.", lambda one: one.words),
        Key("remedy", OrNull(TEXT), "What to do about it; null where nothing is to be done.", lambda one: one.remedy),
    ),
)
_CHECKUP = View[Checkup](
    "checkup",
    "How an installation stands.",
    (Key("findings", ListOf(_FINDING), "The findings, in the order to mend them.", lambda one: one.findings),),
)
CHECKUP = Shape[Checkup](_CHECKUP, _FINDING, lambda one: one.findings)


def checkup_report(checkup: Checkup) -> Report:
    """Return a checkup as a report."""

    def draw() -> RenderableType:
        from orchestrator.reporting.tables.checkup import checkup_lines

        return checkup_lines(checkup)

    return Report(checkup, CHECKUP, draw)
