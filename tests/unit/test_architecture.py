"""The house rules that import-linter cannot see: what the innermost packages import, and how large things may grow."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.sources import REPOSITORY, modules, named, nodes

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
PRODUCT = ("orchestrator", "device_worker", "benchmarks")

ISLANDS = {"orchestrator/domain": "orchestrator.domain", "device_worker": "device_worker"}
"""What imports the standard library and itself, and nothing else."""

ALLOWED_INSIDE_FUNCTIONS = {"device_worker": {"numpy"}}
"""A trial's process has numpy on its path, from the runtime's bundle; the runner's has not."""


def functions(found: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imports(found: Iterable[ast.AST]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the full name of everything that is imported, with its statement."""
    for node in found:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from ((f"{node.module}.{alias.name}", node) for alias in node.names)


def under(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def strange_imports(path: Path, island: str) -> Iterator[str]:
    """Yield what a module of an island imports although it is not the standard library's or the island's."""
    found = nodes(path)
    deferred = {id(statement) for function in functions(found) for _, statement in imports(ast.walk(function))}
    for name, statement in imports(found):
        root = name.partition(".")[0]
        is_allowed = (
            root in sys.stdlib_module_names
            or under(name, ISLANDS[island])
            or (id(statement) in deferred and root in ALLOWED_INSIDE_FUNCTIONS.get(island, ()))
        )
        if not is_allowed:
            yield name


@pytest.mark.parametrize("island", ISLANDS)
def test_the_innermost_packages_import_the_standard_library_and_themselves(island: str) -> None:
    assert [f"{named(path)} imports {name}" for path in modules(island) for name in strange_imports(path, island)] == []


@pytest.mark.system
def test_whatever_is_imported_is_a_declared_dependency() -> None:
    """What only another package's dependencies bring may go with its next release."""
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    extras = (requirement for extra in project["optional-dependencies"].values() for requirement in extra)
    declared = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in (*project["dependencies"], *extras)}
    # Of what is never used at run time, development's own dependencies are enough.
    of_fakes = {re.split(r"[^a-z0-9-]", requirement)[0] for requirement in document["dependency-groups"]["dev"]}
    distributions = packages_distributions()
    missing = {
        f"{named(path)} imports {root}"
        for path in modules("orchestrator")
        for root in {name.partition(".")[0] for name, _ in imports(nodes(path))}
        if root not in sys.stdlib_module_names and root not in ("orchestrator", "device_worker")
        if not (declared | of_fakes if named(path).startswith("orchestrator/testing/") else declared)
        & {name.lower().replace("_", "-") for name in distributions.get(root, ())}
    }
    assert missing == set()


def test_modules_stay_small_enough_to_be_read() -> None:
    lengths = {named(path): path.read_text(encoding="utf-8").count("\n") for path in modules(*PRODUCT)}
    assert {name: length for name, length in lengths.items() if length > MODULE_LINES_MAX} == {}


def test_functions_stay_small_enough_to_be_read() -> None:
    lengths = {
        f"{named(path)}: {function.name}": 1 + (function.end_lineno or 0) - function.lineno
        for path in modules(*PRODUCT)
        for function in functions(nodes(path))
    }
    assert lengths
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


def test_nothing_calls_sudo() -> None:
    """A mistake in finding processes must not become a mistake as root. Hints for people may name the command."""
    words = [
        f"{named(path)}:{node.lineno}"
        for path in modules("orchestrator", "device_worker")
        for node in nodes(path)
        if isinstance(node, ast.List | ast.Tuple)
        and any(
            isinstance(item, ast.Constant) and str(item.value).split("/")[-1] in ("sudo", "su", "doas")
            for item in node.elts
        )
    ]
    assert words == []


def test_no_module_is_called_after_nothing() -> None:
    said_nothing = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    everywhere = modules(*PRODUCT, "migrations", "tests")
    assert everywhere
    assert [named(path) for path in everywhere if path.stem.strip("_") in said_nothing] == []
