"""Scaffold of what results are written in."""

from __future__ import annotations

from tests.integration.scaffolds.recipe import Command, Scaffold, after

TABS = '''"""Write a report's rows with tabs between the values."""

from __future__ import annotations

from typing import TextIO

from orchestrator.reporting.formats.plain_data import cell_value
from orchestrator.reporting.report import Report
from orchestrator.reporting.text import clean


def write(report: Report, stream: TextIO) -> None:
    """Write rows while they come."""
    rows = report.rows()
    for line in (rows.columns, *rows.lines):
        values = ("" if value is None else clean(cell_value(value)) for value in line)
        stream.write("\\t".join(values) + "\\n")
'''

REPORT_FORMAT = Scaffold(
    name="tabs",
    proof="tabs",
    files={"orchestrator/reporting/formats/tabs.py": TABS},
    edits={
        "orchestrator/reporting/formats/__init__.py": after(
            "FORMATS: Mapping[str, OutputFormat] = {\n",
            '    "tabs": OutputFormat("tabs", "the rows below, with tabs between the values"),\n',
        )
    },
    then=(Command(("-m", "orchestrator.reporting.json_document")),),
)
