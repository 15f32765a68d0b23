"""The product's sources as syntax trees, parsed once for every test that reads them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ASKED_FOR = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom, ast.List, ast.Tuple)


def modules(*folders: str) -> list[Path]:
    """Return every module below these folders of the repository, in order."""
    return sorted(path for folder in folders for path in (REPOSITORY / folder).rglob("*.py"))


def named(path: Path) -> str:
    """Return the path within the repository."""
    return str(path.relative_to(REPOSITORY))


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return the nodes of a module that are of the kinds asked for. A walk takes as long as the parser does."""
    return tuple(node for node in ast.walk(parsed(path)) if isinstance(node, ASKED_FOR))
