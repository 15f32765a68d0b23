"""Every argument vector survives a shell."""

import os
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.transport.command import command_line

ARGUMENT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@given(st.lists(ARGUMENT, min_size=1).filter(lambda argv: argv[0] != ""))
def test_a_shell_splits_the_line_into_the_same_arguments(argv: list[str]) -> None:
    assert shlex.split(command_line(argv).decode()) == argv


def test_a_real_shell_does_so_too_with_names_that_are_not_text() -> None:
    odd = os.fsdecode(b"caf\xe9 \xff'\n")

    done = subprocess.run([b"/bin/sh", b"-c", command_line(["printf", "%s", odd])], check=True, capture_output=True)

    assert done.stdout == b"caf\xe9 \xff'\n"


@pytest.mark.parametrize("argv", [[], [""], ["a\0"], ["a", "\0b"]])
def test_what_no_shell_can_run_is_refused(argv: list[str]) -> None:
    with pytest.raises(ValueError, match="command"):
        command_line(argv)
