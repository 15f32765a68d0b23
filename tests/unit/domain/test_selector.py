from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.selector import Attribute, Both, Either, Everything, Not, Selector, parse_selector, select


def device(name: str, **tags: str) -> Device:
    return Device(name, TransportKind.LOCAL if name == "local" else TransportKind.SSH, tags=tags)


LAB = (
    device("local", **{"class": "x86"}),
    device("pi-03", **{"class": "rpi", "ram": "4g"}),
    device("pi-04", **{"class": "rpi", "ram": "8g"}),
    device("coral-1", **{"class": "coral", "ram": "1g", "room": "cellar, left"}),
)


def chosen(text: str) -> list[str]:
    return [one.name for one in select(text, LAB)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", ["local", "pi-03", "pi-04", "coral-1"]),
        ("pi-03", ["pi-03"]),
        ("pi-*", ["pi-03", "pi-04"]),
        ("pi-0[3]", ["pi-03"]),
        ("pi-0[!3]", ["pi-04"]),
        ("class=rpi,ram=4g", ["pi-03"]),
        ("class=rpi and ram=4g", ["pi-03"]),
        ("class=rpi , ram=4g", ["pi-03"]),
        ("class = rpi", ["pi-03", "pi-04"]),
        ("class=r*", ["pi-03", "pi-04"]),
        ("class=rpi or class=coral", ["pi-03", "pi-04", "coral-1"]),
        ("not coral-*", ["local", "pi-03", "pi-04"]),
        ("not class=rpi", ["local", "coral-1"]),
        ("class!=rpi", ["local", "coral-1"]),
        ("ram!=4g", ["local", "pi-04", "coral-1"]),
        ("ram=*", ["pi-03", "pi-04", "coral-1"]),
        ("not ram=*", ["local"]),
        ("not not local", ["local"]),
        ("name=pi-*,ram!=4g", ["pi-04"]),
        ("transport=local", ["local"]),
        ("local or pi-*,ram=8g", ["local", "pi-04"]),
        ("(local or pi-*),ram=8g", ["pi-04"]),
        ("not (local or pi-*)", ["coral-1"]),
        ("not local,not pi-*", ["coral-1"]),
        ("all,not pi-03", ["local", "pi-04", "coral-1"]),
        ('room="cellar, left"', ["coral-1"]),
        ("room='cellar, left'", ["coral-1"]),
        ('"pi-03"', ["pi-03"]),
        ("class=all or local", ["local"]),
        ("\tall\n", ["local", "pi-03", "pi-04", "coral-1"]),
    ],
)
def test_a_selector_picks(text: str, names: list[str]) -> None:
    assert chosen(text) == names


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "a selector is empty"),
        ("   ", 1, "a selector is empty"),
        ("class=", 7, "expected a value after class=, not the end"),
        ("class=rpi,", 11, "expected a device name or KEY=VALUE, not the end"),
        ("class=rpi,,ram=4g", 11, "expected a device name or KEY=VALUE, not ','"),
        ("=rpi", 1, "expected a device name or KEY=VALUE, not '='"),
        ("pi-03 pi-04", 7, "expected ',', 'and' or 'or' before 'pi-04'"),
        ("(pi-03", 7, "expected ')' for the '(' at column 1"),
        ("pi-03)", 6, "expected ',', 'and' or 'or' before ')'"),
        ("or pi-03", 1, "expected a device name or KEY=VALUE, not 'or'"),
        ("pi-03 or", 9, "expected a device name or KEY=VALUE, not the end"),
        ("not", 4, "expected a device name or KEY=VALUE, not the end"),
        ("a=b=c", 4, "expected ',', 'and' or 'or' before '='"),
        ("room='cellar", 6, "the quote ' is not closed"),
        ("pi-[03", 4, "the '[' is not closed"),
        ("a ! b", 3, "unexpected '!'"),
        ("(" * 60 + "a" + ")" * 60, 51, "nested more than 50 deep"),
        ("not " * 60 + "a", 201, "nested more than 50 deep"),
    ],
)
def test_a_mistake_is_shown_at_its_column(text: str, column: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_selector(text)
    assert caught.value.message == f"selector, column {column}: {words}"
    assert caught.value.hint is not None
    assert caught.value.hint.splitlines()[-1] == "  " + " " * (column - 1) + "^"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("pi-30", "did you mean pi-03 or pi-04?"),
        ("clas=rpi", "did you mean class=rpi?"),
        ("class=rpu", "did you mean class=rpi?"),
        ("class=rpi,ram=16g", "did you mean ram=1g?"),
        ("zzz", "devices: local, pi-03, pi-04, coral-1"),
        ("class=rpi,class=coral", "devices: local, pi-03, pi-04, coral-1"),
        ("not all", "devices: local, pi-03, pi-04, coral-1"),
    ],
)
def test_a_selector_that_picks_nothing_names_what_is_near(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="matches no device") as caught:
        select(text, LAB)
    assert caught.value.hint == hint


def test_many_devices_are_not_all_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        select("zzz", [device(f"pi-{number:03}") for number in range(200)])
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("pi-011, … (200 in all)")


def test_an_inventory_without_devices_says_so() -> None:
    with pytest.raises(ConfigError) as caught:
        select("all", [])
    assert caught.value.hint == "the inventory has no enabled device"


WORDS = st.from_regex(r"[a-z][a-z0-9*?-]{0,5}", fullmatch=True).filter(
    lambda word: word not in {"all", "and", "or", "not"}
)
LEAVES = st.one_of(
    st.just(Everything()),
    st.builds(Attribute, st.just("name"), WORDS),
    st.builds(Attribute, st.sampled_from(["class", "ram", "gpu"]), WORDS),
)
SELECTORS: st.SearchStrategy[Selector] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(Both, st.tuples(inner, inner)),
        st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
DEVICES = st.builds(
    lambda name, tags: device(name, **tags),
    st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True),
    st.dictionaries(st.sampled_from(["class", "ram", "gpu"]), st.from_regex(r"[a-z0-9]{1,4}", fullmatch=True)),
)


def written(selector: Selector) -> str:
    match selector:
        case Everything():
            return "all"
        case Attribute("name", pattern):
            return pattern
        case Attribute(key, pattern):
            return f"{key}={pattern}"
        case Not(inner):
            return f"not ({written(inner)})"
        case Both(parts):
            return ",".join(f"({written(part)})" for part in parts)
        case Either(parts):
            return " or ".join(f"({written(part)})" for part in parts)


def meant(selector: Selector, one: Device) -> bool:
    match selector:
        case Everything():
            return True
        case Attribute("name", pattern):
            return fnmatchcase(one.name, pattern)
        case Attribute(key, pattern):
            return key in one.tags and fnmatchcase(one.tags[key], pattern)
        case Not(inner):
            return not meant(inner, one)
        case Both(parts):
            return all(meant(part, one) for part in parts)
        case Either(parts):
            return any(meant(part, one) for part in parts)


@given(SELECTORS, DEVICES)
def test_a_written_selector_means_what_it_says(selector: Selector, one: Device) -> None:
    assert parse_selector(written(selector)).matches(one) == meant(selector, one)


@given(SELECTORS, DEVICES)
def test_not_is_the_opposite(selector: Selector, one: Device) -> None:
    text = written(selector)
    assert parse_selector(f"not ({text})").matches(one) != parse_selector(text).matches(one)


@given(st.text(max_size=40) | st.text(alphabet="apnotrd()=!,*'\"[] \t", max_size=40))
def test_any_text_is_a_selector_or_a_mistake(text: str) -> None:
    try:
        parse_selector(text).matches(LAB[0])
    except ConfigError as error:
        assert error.message.startswith("selector, column ")  # noqa: PT017
