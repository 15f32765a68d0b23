"""Every command of every page is executed by a test, or is named with the reason why not."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache

import pytest

from tests.lab import REPOSITORY
from tests.system.followed import ELSEWHERE, FOLLOWED
from tests.system.readers import commands, own_commands, page

TESTS = REPOSITORY / "tests"
PAGES = ["../README", *sorted(path.stem for path in (REPOSITORY / "docs").glob("*.md"))]
WORD = re.compile(r"[a-z][a-z-]*")


def shown(name: str) -> list[list[str]]:
    """Return the words of each command of benchfleet that a page shows as a line of its own, in a block or not."""
    return [words for words in own_commands(name) if words[0] == "benchfleet"]


def subcommand(words: list[str]) -> tuple[str, ...]:
    """Return the words that choose what is done: `runs list`, `compare`."""
    found: list[str] = []
    for word in words[1:3]:
        if not WORD.fullmatch(word) or (found and found[0] not in GROUPS):
            break
        found.append(word)
    return tuple(found)


OTHERS = "apt-get|curl|docker|git|make|pip|python3?|sh|ssh|sudo|systemctl|tar|uv"
GROUPS = {"baseline", "db", "devices", "models", "nightly", "plot", "power", "queue", "regressions", "runs", "schedule"}


@cache
def source(test: str) -> str:
    return (TESTS / test.partition("::")[0]).read_text(encoding="utf-8")


def executes(test: str, words: list[str]) -> bool:
    """Say whether a test has the command among its words, or follows a page that has the command."""
    followed = [name for name, follower in FOLLOWED.items() if follower == test]
    if any(subcommand(other) == subcommand(words) for name in followed for other in shown(name)):
        return True
    return ", ".join(f'"{word}"' for word in subcommand(words)) in source(test)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_with_commands_is_followed(name: str) -> None:
    assert (name in FOLLOWED) == bool(shown(name))
    if name in FOLLOWED:
        assert re.search(rf'"{name}(\.md)?"', source(FOLLOWED[name])), f"{FOLLOWED[name]} does not name the page"


@pytest.mark.parametrize("name", PAGES)
def test_no_block_of_a_page_has_commands_that_nobody_follows(name: str) -> None:
    """A test takes commands from lines of four blanks: in a block they would be seen by no test."""
    inside = re.findall(r"^```(.*)\n((?:.*\n)*?)```$", page(name), re.MULTILINE)
    found = [line for _, block in inside for line in block.splitlines() if re.match(r"(\$ )?benchfleet\b", line)]
    assert found == (["$ benchfleet --help"] if name == "../README" else [])


@pytest.mark.parametrize("name", PAGES)
def test_other_programs_of_a_page_are_named(name: str) -> None:
    """The page of PostgreSQL is followed with all its programs; no other page's test starts any."""
    lines = re.findall(rf"^    ((?:{OTHERS}) .*)$", page(name), re.MULTILINE)
    left_out = {shlex.join(shlex.split(line)) for line in ELSEWHERE.get(name, {})}
    assert {shlex.join(shlex.split(line, comments=True)) for line in lines} <= left_out


def test_every_test_that_is_named_is_there() -> None:
    named = {*FOLLOWED.values(), *(one.test for page in ELSEWHERE.values() for one in page.values() if one.test)}
    for test in named:
        file, _, function = test.partition("::")
        tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, test


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_a_page_leaves_to_another_test_is_there_and_executed_there(name: str) -> None:
    lines = {shlex.join(words) for words in commands(name)}
    for line, elsewhere in ELSEWHERE[name].items():
        words = shlex.split(line)
        assert shlex.join(words) in lines, f"no command of the page any more: {line}"
        if words[0] == "benchfleet":
            assert elsewhere.test is not None
            assert executes(elsewhere.test, words), f"{elsewhere.test} does not execute {line}"


def test_only_the_tests_themselves_are_executed_by_no_test() -> None:
    untested = [line for page in ELSEWHERE.values() for line, one in page.items() if one.test is None]
    assert untested == ["make test"]
