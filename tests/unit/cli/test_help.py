"""Every command explains itself: in full sentences, with an example, in 80 columns, without a colour code."""

from __future__ import annotations

import re
import shlex
from functools import cache

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from tests.unit.cli.commands import GROUPS, LEAVES, root

NO_DATABASE = {"init", "devices enroll", "models list", "models verify", "models build"}
NO_SETTINGS = {"init", "models list", "models verify", "models build"}
DRIVES_DEVICES = {"devices probe", "devices clean", "run", "runs follow", "runs resume", "runs cancel"}


@cache
def help_of(*words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--help"], prog_name="benchfleet", env={"COLUMNS": "80"})
    assert done.exit_code == 0
    return str(done.stdout)


@pytest.mark.parametrize("name", [*GROUPS, *LEAVES])
def test_help_fits_80_columns_and_holds_nothing_but_text(name: str) -> None:
    text = help_of(*name.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "\b" not in text
    assert "\\b" not in text


@pytest.mark.parametrize("name", LEAVES)
def test_help_says_what_the_command_does_and_shows_how_it_is_typed(name: str) -> None:
    text = help_of(*name.split())
    summary = LEAVES[name].get_short_help_str(limit=200)
    assert re.fullmatch(r"[A-Z].*\.", summary), summary
    example = re.search(r"\n  Example:\n    (benchfleet .+)\n", text)
    assert example is not None, "an example on a line of its own"
    assert name in example[1] or "&&" in example[1]


@pytest.mark.parametrize("name", LEAVES)
def test_an_example_is_a_command_that_would_be_understood(name: str) -> None:
    words = shlex.split(LEAVES[name].epilog.rpartition("Example:")[2].split("&&")[0])[1:]
    command, rest = root(), words
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    assert command.name == name.split()[-1]
    command.make_context("benchfleet", rest, resilient_parsing=False)


@pytest.mark.parametrize("name", GROUPS)
def test_lists_of_commands_cut_no_sentence_short(name: str) -> None:
    assert "..." not in help_of(*name.split()).partition("Commands:")[2]


@pytest.mark.parametrize("name", LEAVES)
def test_every_argument_and_option_is_described(name: str) -> None:
    for parameter in LEAVES[name].params:
        assert re.fullmatch(r"[A-Za-z].*\.(  \[default: \S+\])?", parameter.help or ""), (
            f"{parameter.name}: {parameter.help}"
        )


@pytest.mark.parametrize("name", LEAVES)
def test_the_same_options_are_there_wherever_they_mean_something(name: str) -> None:
    options = {option for parameter in LEAVES[name].params for option in parameter.opts if option.startswith("--")}
    assert "--json" in options, "every command prints data"
    assert ("--db" in options) == (name not in NO_DATABASE)
    assert ("--config" in options) == (name not in NO_SETTINGS)
    assert ({"--executor", "--ray-address", "--inventory"} <= options) == (name in DRIVES_DEVICES)


def test_the_first_page_lists_the_exit_codes_and_how_to_begin() -> None:
    text = help_of()
    assert "0 fine, 1 confirmed regression, 2 wrong usage" in " ".join(text.split())
    assert "  Begin with:\n    benchfleet init lab\n    cd lab\n    benchfleet run sweeps/quickstart.yaml\n" in text


def test_short_help_is_help() -> None:
    assert CliRunner().invoke(app, ["runs", "list", "-h"], prog_name="benchfleet").stdout == help_of("runs", "list")
