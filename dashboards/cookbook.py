"""Draw docs/sql-cookbook.md: every question with its statement, and the answer of a made-up lab."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from dashboards.answers import LAB, ROWS_SHOWN, Answer, answer, fill_lab
from dashboards.questions import Question, questions
from orchestrator.store.store import Store, open_store

_SIZE = f"--devices {LAB.devices} --series {LAB.series} --nights {LAB.nights} --seed {LAB.seed}"
_INTRODUCTION = f"""\
# What a lab asks, in SQL

`python -m dashboards` draws this page, and a test compares each answer on SQLite and on PostgreSQL. The statements run
on both. [docs/schema.md](schema.md) explains views and tables.

The answers are those of a made-up lab. **Nothing of it was measured.** Two commands, in a checkout, make the
lab, and ask:

    benchfleet db demo --db demo.db {_SIZE}
    benchfleet sql - --db demo.db < dashboards/questions/08-noise-by-device.sql

Any statement goes into `benchfleet sql STATEMENT`, or into the SQL page of `benchfleet serve`, which has all of them
saved. A statement that begins with a comment goes in by `-`, as above. `benchfleet db schema` lists views and tables,
and a mistyped name of a table or column is answered with the one that was meant. A value that nothing has (a device,
a metric, `2026-9` for `2026-09`) is no error: the answer has no rows, or counts 0. An impossible date is an error on
PostgreSQL alone. [metrics.md](metrics.md) has the names of metrics. Only reading is possible, and a query may take
60 s.

Answers on this page show at most {ROWS_SHOWN} rows, and numbers four digits. `benchfleet sql` prints all rows, or
`--limit N` of them, and ten digits. Where a row is wider than the terminal, it prints a block of lines for each row;
`--format csv`, `json` or `markdown` keep to rows.

The lab of this page measures with one setting. Where cells differ in settings (such as threads), they have rows of
their own in some answers: add `settings` to the columns to tell them apart.

A month or a day is cut out of the moment's text: on PostgreSQL after `SET TIME ZONE 'UTC'`.
`dashboards/datasette.json` has the same statements for
[Datasette](https://datasette.io): `datasette demo.db --metadata dashboards/datasette.json`.
"""


def cookbook() -> str:
    """Return the page. The lab is made anew, in a file that goes again."""
    with tempfile.TemporaryDirectory(prefix="benchfleet-cookbook-") as folder:
        url = str(Path(folder) / "demo.db")
        fill_lab(url)
        with open_store(url) as store:
            return page(store)


def page(store: Store) -> str:
    """Return the page with the answers of a database."""
    answered = [(question, answer(store, question)) for question in questions()]
    return "\n".join([_INTRODUCTION, *_contents(answered), "", *_sections(answered)])


def _contents(answered: Sequence[tuple[Question, Answer]]) -> Iterator[str]:
    for number, (question, _answer) in enumerate(answered, 1):
        yield f"{number}. [{question.title}](#{question.name})"


def _sections(answered: Sequence[tuple[Question, Answer]]) -> Iterator[str]:
    for question, found in answered:
        notes = f"{question.notes}\n\n" if question.notes else ""
        yield f'## <a id="{question.name}"></a>{question.title}\n\n{notes}```sql\n{question.sql};\n```\n'
        yield from table(found)
        yield ""


def table(found: Answer) -> Iterator[str]:
    """Yield the lines of an answer as a Markdown table."""
    yield f"| {' | '.join(found.columns)} |"
    yield f"|{'---|' * len(found.columns)}"
    for row in found.rows[:ROWS_SHOWN]:
        yield f"| {' | '.join('–' if value is None else value.replace('|', chr(92) + '|') for value in row)} |"
    if len(found.rows) > ROWS_SHOWN:
        yield f"\n{len(found.rows) - ROWS_SHOWN} further rows."
