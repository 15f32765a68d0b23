"""Recordings of power by other tools: what is read, and what is refused with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.meter import MeterReading
from orchestrator.meters.recording import format_line, parse_line, read_recording

FIRST, SECOND = MeterReading(1_772_353_800_250_000_000, 4.5), MeterReading(1_772_353_801_250_000_000, 5.0)


@pytest.mark.parametrize(
    "text",
    [
        "1772353800.25 4.5\n1772353801.25 5\n",
        "unix_time,watts\n1772353800.250000000,4.5\n1772353801.250000000,5.0\n",
        "# a comment\n\nvolts;Time;power_mw\n5;1772353800.25;4500\n5;1772353801.25;5000\n",
        "\ufefftimestamp\tw\n1772353801.25\t5.0\n1772353800.25\t4.5\n",
        "time,power\n1772353800.25,4.0\n1772353800.25,4.5\n1.77235380125e9,5.0\n",
    ],
    ids=["lines", "csv", "semicolons, milliwatts, further columns", "tabs, out of order", "the last of equal times"],
)
def test_recordings_of_many_forms_are_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "power.csv"
    file.write_text(text, encoding="utf-8")
    assert list(read_recording(file)) == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("1772353800.25 4.5\nnoon 5\n", ":2: no time"),
        ("unix_time,watts\n1772353800,-1\n", ":2: no time"),
        ("unix_time,watts\n1772353800,nan\n", ":2: no time"),
        ("1772353800250,4.5\n", ":1: no time"),
        ("a,b\n", ":1: no time"),
        ("", ": no readings"),
    ],
    ids=["words", "negative", "not finite", "milliseconds", "unknown names", "empty"],
)
def test_a_file_that_is_no_recording_is_refused_with_its_line(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "power.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=f"power.csv{where}"):
        read_recording(file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_recording(tmp_path / "power.csv")


def test_what_is_written_is_read_again_to_the_last_digit() -> None:
    reading = MeterReading(1_772_353_800_123_456_789, 0.1 + 0.2)
    assert parse_line(format_line(reading)) == reading
