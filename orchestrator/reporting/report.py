"""Hand a command's result to every format as a single value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.reporting.shape import Shape


class CaseOutcome(StrEnum):
    """Say how a test case ended, in the words of JUnit. An error is a case without a judgement."""

    PASSED = "passed"
    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """Hold a test case: a cell of a run, or a verdict.

    `kind` is the state or the verdict. `text` has the figures.
    """

    name: str
    outcome: CaseOutcome
    message: str = ""
    kind: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """Hold the test cases of a device, or of a group of a comparison."""

    name: str
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Hold column names and lines. Lines may still be on the way from a database."""

    columns: Sequence[str]
    lines: Iterable[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Report:
    """Hold a result in its declared shape.

    `draw` returns the picture for people, and is called by the format `table` alone. `cases` returns the result as test
    cases, and is None for a result without pass or fail. Without a shape the value is the `Rows` of an SQL statement.
    `remarks` are sentences about the whole result, for pages. `page` returns Markdown in place of rows and remarks.
    """

    value: Any
    shape: Shape[Any] | None
    # A function, which imports the tables itself: rich takes a good part of the start of a command that writes JSON.
    draw: Callable[[], RenderableType]
    cases: Callable[[], Sequence[Suite]] | None = None
    remarks: Sequence[str] = ()
    page: Callable[[], str] | None = None

    def rows(self) -> Rows:
        """Return the result as a flat table."""
        if self.shape is None:
            assert isinstance(self.value, Rows)
            return self.value
        return Rows(self.shape.columns(), self.shape.lines(self.value))
