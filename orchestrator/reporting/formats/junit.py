"""Write a report's test cases as JUnit XML, for build servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

from orchestrator.reporting.report import Case, CaseOutcome, Report, Suite
from orchestrator.reporting.text import clean, clean_lines

_COUNTED: Mapping[CaseOutcome, str] = {
    CaseOutcome.FAILURE: "failures",
    CaseOutcome.ERROR: "errors",
    CaseOutcome.SKIPPED: "skipped",
}


def write(report: Report, stream: TextIO) -> None:
    """Write a suite for each group of cases, with the counts of outcomes as attributes."""
    assert report.cases is not None
    suites = report.cases()
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    stream.write(f'<testsuites name="benchfleet"{_counts([case for suite in suites for case in suite.cases])}>\n')
    for suite in suites:
        _write_suite(suite, stream)
    stream.write("</testsuites>\n")


def _write_suite(suite: Suite, stream: TextIO) -> None:
    stream.write(f"  <testsuite name={_attribute(suite.name)}{_counts(suite.cases)}>\n")
    for case in suite.cases:
        _write_case(suite, case, stream)
    stream.write("  </testsuite>\n")


def _write_case(suite: Suite, case: Case, stream: TextIO) -> None:
    head = f"    <testcase classname={_attribute(suite.name)} name={_attribute(case.name)}"
    # `clean` has taken the control characters, which XML forbids too.
    text = escape(_legal(clean_lines(case.text)))
    if case.outcome is CaseOutcome.PASSED:
        output = f">\n      <system-out>{text}</system-out>\n    </testcase>\n" if text else "/>\n"
        stream.write(head + output)
        return
    element = case.outcome.value
    # Only failures and errors have a type in the schema of JUnit.
    kind = f" type={_attribute(case.kind)}" if case.outcome is not CaseOutcome.SKIPPED else ""
    stream.write(f"{head}>\n      <{element} message={_attribute(case.message)}{kind}>{text}</{element}>\n")
    stream.write("    </testcase>\n")


def _counts(cases: tuple[Case, ...] | list[Case]) -> str:
    counts = Counter(case.outcome for case in cases)
    parts = "".join(f' {name}="{counts[outcome]}"' for outcome, name in _COUNTED.items())
    return f' tests="{len(cases)}"{parts}'


def _attribute(text: str) -> str:
    return quoteattr(_legal(clean(text)))


def _legal(text: str) -> str:
    """Replace code points forbidden in XML: the last two of every plane, such as U+FFFE and U+FFFF."""
    if text.isascii():
        return text
    return "".join("\ufffd" if ord(one) & 0xFFFE == 0xFFFE else one for one in text)
