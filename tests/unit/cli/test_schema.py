"""`schema` prints what editors check files by."""

from __future__ import annotations

import json

import pytest

from orchestrator.domain.errors import ExitCode
from orchestrator.resources import KINDS
from tests.unit.cli.conftest import Command


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_a_kind_is_printed(command: Command, kind: str) -> None:
    ended = command("schema", kind)
    assert ended.code == ExitCode.FINE
    assert json.loads(ended.out)["additionalProperties"] is False


def test_an_unknown_kind_is_answered_with_the_nearest(command: Command) -> None:
    ended = command("schema", "sweeps")
    assert (ended.code, ended.err) == (
        ExitCode.USAGE,
        "error: there is no kind of file 'sweeps'\nhint: did you mean 'sweep'?\n",
    )
