"""SQL is text that the program wrote: values travel beside it, never in it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import modules, named, parsed

SOURCES = modules("orchestrator", "migrations", "benchmarks")

EXECUTORS = frozenset(
    {"execute", "executemany", "executescript", "exec_driver_sql", "scalar", "scalars", "text", "stream"}
)
"""Methods and functions that take SQL as text."""

BUILT_FROM_CONSTANTS = {
    ("benchmarks/queries.py", "exec_driver_sql"),  # names of our own tables
    ("migrations/versions/0007_cells_by_series.py", "execute"),  # names of our own columns
    ("orchestrator/store/console/postgres_console.py", "execute"),  # the user's own statement, quoted by psycopg
    ("orchestrator/store/console/sqlite_reader.py", "execute"),  # names and numbers of our own
    ("orchestrator/store/schema/statistics.py", "exec_driver_sql"),  # names of our own tables
    ("migrations/versions/0001_spine.py", "execute"),  # names of our own views
    ("migrations/versions/0015_relatives_of_jobs.py", "execute"),  # names of our own columns
    ("migrations/versions/0019_words_of_runs.py", "execute"),  # names of our own views and columns
    ("migrations/versions/0020_power_traces.py", "execute"),  # names of our own views and columns
    ("migrations/versions/0021_models_of_runs.py", "execute"),  # names of our own views
    ("migrations/versions/0031_metrics.py", "execute"),  # names of our own views
    ("migrations/versions/0024_meters.py", "execute"),  # names of our own columns
    ("migrations/versions/0011_views_for_people.py", "execute"),  # names of our own views
}


def built(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and function of each call whose SQL is put together where it is called, or just before."""
    text = path.read_text(encoding="utf-8")
    if not any(f"{name}(" in text for name in EXECUTORS):
        return
    for scope in ast.walk(parsed(path)):
        if not isinstance(scope, ast.FunctionDef | ast.Module):
            continue
        spliced = {
            target.id
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and is_spliced(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and node.args and (name := called(node)) in EXECUTORS:
                first = node.args[0]
                if is_spliced(first) or (isinstance(first, ast.Name) and first.id in spliced):
                    yield node.lineno, name


def called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


def is_spliced(node: ast.expr) -> bool:
    """Say whether a text is made of others at run time: f-string, %, +, format, join, replace."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add) and any(is_text(side) for side in (node.left, node.right))
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in {"format", "format_map"} or (node.func.attr == "join" and is_text(node.func.value))


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_no_statement_is_put_together_from_values() -> None:
    assert SOURCES
    found = [(named(path), line, call) for path in SOURCES for line, call in built(path)]
    assert [where for where in found if (where[0], where[2]) not in BUILT_FROM_CONSTANTS] == []


@pytest.mark.parametrize(
    "line",
    [
        "c.execute(f'SELECT {x}')",
        "c.execute('SELECT %s' % x)",
        "c.execute('SELECT ' + x)",
        "c.execute('SELECT {}'.format(x))",
        "sql = f'DELETE FROM {x}'\nc.execute(sql)",
        "c.execute(text(f'SELECT {x}'))",
    ],
)
def test_the_check_sees_what_it_is_there_to_see(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.py").write_text(line)
    assert list(built(tmp_path / "bad.py"))


@pytest.mark.parametrize("line", ["c.execute('SELECT ?', (x,))", "c.execute(select(t).where(t.c.id == x))"])
def test_the_check_lets_parameters_pass(tmp_path: Path, line: str) -> None:
    (tmp_path / "good.py").write_text(line)
    assert not list(built(tmp_path / "good.py"))
