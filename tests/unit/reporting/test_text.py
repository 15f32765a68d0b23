from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from orchestrator.reporting.text import clean, escape_controls, shown
from tests.unit.reporting.rendering import drawn


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),
        ("a\r\nb\tc", "a b c"),
        ("bell\x07", "bell\\x07"),
        ("\u202eevil", "\\u202eevil"),
        ("line\u2028end", "line end"),
        ("half\ud800", "half\\ud800"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("int8 · 41.9 µs", "int8 · 41.9 µs"),
        ("[bold]no markup[/bold]", "[bold]no markup[/bold]"),
        ("  padded  ", "padded"),
        (42, "42"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_instead(hostile: object, harmless: str) -> None:
    assert clean(hostile) == harmless


@given(st.text())
def test_clean_text_has_no_control_characters_and_can_be_encoded(text: str) -> None:
    cleaned = clean(text)

    assert not {unicodedata.category(character) for character in cleaned} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    cleaned.encode()


@given(st.text())
def test_escaping_json_for_a_terminal_changes_nothing_of_its_meaning(text: str) -> None:
    escaped = escape_controls(json.dumps({"key": text}, ensure_ascii=False, indent=1))

    assert json.loads(escaped) == {"key": text}
    assert not {unicodedata.category(character) for character in escaped.replace("\n", "")} & {"Cc", "Cf", "Cs"}


def test_foreign_text_is_no_markup() -> None:
    assert drawn(shown("[red]x[/red] :smile:")) == "[red]x[/red] :smile:\n"


def test_nothing_is_shown_as_absent() -> None:
    assert shown(None) == Text("–")
