"""Rules of names and globs: what a rule made for a cell names is that cell, whatever its words are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.expansion import names_cell, read_rule, rule_for

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="·"), min_size=1, max_size=12)

VARIANTS = WORDS.filter(lambda word: word == word.strip("/"))
"""`MODEL/VARIANT` in a run of several models: neither is empty."""


@given(WORDS, VARIANTS, WORDS, st.dictionaries(WORDS.filter(lambda word: not set(word) & set("=,")), WORDS, max_size=2))
def test_the_rule_made_for_a_cell_names_the_cell(
    device: str, variant: str, runtime: str, settings: dict[str, str]
) -> None:
    if settings.keys() & {"device", "variant", "runtime"}:
        return
    label = " · ".join((variant, runtime, *(f"{name}={value}" for name, value in settings.items())))
    rule = read_rule(rule_for(device, label), "--cells")
    assert names_cell([rule], device, label)
    assert not names_cell([rule], device + "x", label)


def test_the_rule_for_a_plain_cell_can_be_read() -> None:
    rule = rule_for("pi-03", "int8 · tflite-runtime==2.14.0 · threads=2")
    assert rule == "device=pi-03,variant=int8,runtime=tflite-runtime==2.14.0,threads=2"
    assert rule_for("pi", "a*b · exec/[c]") == "device=pi,variant=a[*]b,runtime=exec/[[]c]"


@pytest.mark.parametrize("text", ["", "int8", "variant=", "=int8", "variant=int8,"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="names no cell"):
        read_rule(text, "--cell")
