"""The command that starts the worker: words that every login shell passes on unchanged."""

import base64
import shlex

from orchestrator.blobs.worker import loader_source
from orchestrator.session.start_line import start_line
from orchestrator.transport.command import command_line

ARGUMENTS = ("~/.cache/benchfleet", "a" * 64, "123456")
LINE = start_line("python3", loader_source(), ARGUMENTS)


def test_the_loader_and_its_arguments_arrive() -> None:
    at = LINE.index("-c")
    assert LINE[0] == "python3"
    assert tuple(LINE[at + 2 : at + 5]) == ARGUMENTS
    assert base64.b64decode("".join(LINE[at + 5 :])).decode() == loader_source()


def test_no_word_has_a_sign_that_some_shell_reads_even_within_quotes() -> None:
    """csh: newlines, `!`, and words of 1,024 characters; fish: backslashes; nushell, xonsh: other quotes."""
    for word in LINE:
        assert not set(word) & set("\n\r!'\"\\`$"), word
        assert len(word) < 1000


def test_the_line_is_short_enough_for_small_ssh_servers() -> None:
    """Dropbear takes commands of 9,000 bytes at most."""
    assert len(command_line(LINE)) < 8500


def test_a_process_of_the_worker_is_known_by_its_command() -> None:
    """device_worker/system/trial_mark.py looks for the word."""
    assert any("benchfleet-loader" in word for word in LINE)


def test_csh_does_not_find_its_history_in_a_word() -> None:
    line = command_line(["echo", "wow!", "it's !1"]).decode()
    assert shlex.split(line) == ["echo", "wow!", "it's !1"]
    assert line.count("\\!") == line.count("!") == 2, "escaped, and outside of the apostrophes"
