"""Words of ssh configuration: quotes, escapes, comments, equals signs."""

import pytest

from orchestrator.transport.ssh.jumps import Jump, jumps_of
from orchestrator.transport.ssh.walk import changed, usual_form
from orchestrator.transport.ssh.wording import arguments, cut


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\tc", ["a", "b", "c"]),
        ('"a b" c', ["a b", "c"]),
        ("'a \"b' c", ['a "b', "c"]),
        ("a # b", ["a"]),
        ("a#b", ["a#b"]),
        ('"#" x', ["#", "x"]),
        (r"a\ b \"c\' d\e", ["a b", "\"c'", r"d\e"]),
        (r'"a\ b"', [r"a\ b"]),
        ('a"b c"d', ["ab cd"]),
        ('""', [""]),
        ("\\", ["\\"]),
    ],
)
def test_values_are_split_as_ssh_does(text: str, words: list[str]) -> None:
    assert arguments(text) == words


def test_a_quote_without_an_end_is_told() -> None:
    with pytest.raises(ValueError, match="a quote has no end"):
        arguments("it's")


@pytest.mark.parametrize(
    ("text", "word", "rest"),
    [
        ("Host a", "Host", "a"),
        ("Host=a", "Host", "a"),
        ("Host = a", "Host", "a"),
        ("Host == a", "Host", "= a"),
        ('host="a b" c', "host", '"a b" c'),
        ('"a b" c', "a b", "c"),
        ("all", "all", None),
        ('"a', None, None),
    ],
)
def test_keywords_and_criteria_are_cut_as_ssh_does(text: str, word: str | None, rest: str | None) -> None:
    assert cut(text) == (word, rest)


def test_jumps_are_read_in_parts() -> None:
    assert jumps_of("a,eve@[fe80::1]:2222,ssh://bob@c:23/") == (
        Jump("a"),
        Jump("fe80::1", "eve", 2222),
        Jump("c", "bob", 23),
    )
    assert [str(jump) for jump in jumps_of("[10.0.0.1]:22,eve@[fe80::1]")] == ["10.0.0.1:22", "eve@[fe80::1]"]


@pytest.mark.parametrize("written", ["", "a,", "@a", "a:0", "a:x", "[a"])
def test_what_names_no_host_is_told(written: str) -> None:
    with pytest.raises(ValueError, match="ProxyJump"):
        jumps_of(written)


def test_lists_of_algorithms_change_the_usual_list() -> None:
    usual = ("aes128-ctr", "aes256-ctr", "3des-cbc")
    assert changed("+x,aes128-ctr", usual) == "aes128-ctr,aes256-ctr,3des-cbc,x"
    assert changed("-aes*", usual) == "3des-cbc"
    assert changed("^3des-cbc", usual) == "3des-cbc,aes128-ctr,aes256-ctr"
    assert changed("a,b", usual) == "a,b"


@pytest.mark.parametrize(("host", "usual"), [("127.1", "127.0.0.1"), ("Pi.Lab", "pi.lab"), ("FE80::2", "FE80::2")])
def test_hosts_have_one_form(host: str, usual: str) -> None:
    assert usual_form(host) == usual
