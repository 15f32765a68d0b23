from __future__ import annotations

import json
import os
import string
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigError
from orchestrator.specs.document import BYTES_MAX, DEPTH_MAX, NODES_MAX, parse_document, read_document
from orchestrator.specs.schema import check_section
from orchestrator.specs.sweep_schema import SweepSection


def data(text: str) -> Any:
    return parse_document(text, "a.yaml").data


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("007", 7),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.e3", 1000.0),
        ("1.2.3", "1.2.3"),
        (".inf", ".inf"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("off", "off"),
        ("~", None),
        ("null", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("'~'", "~"),
        ("12:30", "12:30"),
        ("2024-01-02", "2024-01-02"),
        ("0-3", "0-3"),
        ("=", "="),
        ("!!str 1", "1"),
        ("|\n  two\n  lines", "two\nlines\n"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(scalar: str, value: object) -> None:
    found = data(f"key: {scalar}\n")["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_and_entry_knows_its_line() -> None:
    document = parse_document("a: 1\nb:\n  - x\n  - c: {d: 2}\n", "f.yaml")
    assert document.where(()) == "f.yaml:1"
    assert document.where(("b",)) == "f.yaml:2"
    assert document.where(("b", 0)) == "f.yaml:3"
    assert document.where(("b", 1, "c", "d")) == "f.yaml:4"
    assert document.where(("b", 1, "c", "absent")) == "f.yaml:4"
    assert document.where(("b", "tag of a union", 1, "c")) == "f.yaml:4"


def test_a_scalar_is_known_as_it_was_written() -> None:
    document = parse_document("os: 22.10\nn: 007\nlist: [1.50]\n", "f.yaml")
    assert (document.scalar(("os",)), document.scalar(("n",)), document.scalar(("list", 0))) == ("22.10", "007", "1.50")
    assert document.scalar(("list",)) is None


def test_keys_are_text_as_written() -> None:
    assert data("1: a\n1.10: b\non: c\n007: d\n") == {"1": "a", "1.10": "b", "on": "c", "007": "d"}


def test_aliases_and_merges_are_written_out() -> None:
    text = "base: &base {a: 1, b: 2}\nmore: &more {c: 3}\nsame: *base\none:\n  <<: *base\n  b: 9\n"
    text += "two: {<<: [*more, *base], c: 4}\n"
    document = parse_document(text, "f.yaml")
    assert document.data["same"] == {"a": 1, "b": 2}
    assert document.data["one"] == {"a": 1, "b": 9}
    assert document.data["two"] == {"a": 1, "b": 2, "c": 4}
    assert document.where(("one", "b")) == "f.yaml:6"


def test_the_first_of_several_merged_mappings_wins() -> None:
    assert data("x: &x {k: 1}\ny: &y {k: 2}\nz: {<<: [*x, *y]}\n")["z"] == {"k": 1}


def test_a_quoted_merge_key_is_a_key() -> None:
    assert data("'<<': {a: 1}\n") == {"<<": {"a": 1}}


def nested_aliases(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]" for level in range(1, levels)]
    return "\n".join(lines)


def nested_merges(levels: int, width: int) -> str:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * width)}]}}" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (nested_aliases(20, 10), f"more than {NODES_MAX} entries"),
        (nested_merges(12, 10), "merges without end"),
        ("a: &a {<<: *a}", "merges without end"),
        ("&a [*a]", f"nested more than {DEPTH_MAX} deep"),
        ("a: " + "[" * 500_000, f"nested more than {DEPTH_MAX} deep"),
        ("{" * 500_000, f"nested more than {DEPTH_MAX} deep"),
        ("- " * 300_000, f"nested more than {DEPTH_MAX} deep"),
        ("a: [" + "1," * (NODES_MAX + 10) + "]", f"more than {NODES_MAX} entries"),
        ("a: '" + "x" * BYTES_MAX + "'", f"longer than {BYTES_MAX} characters"),
    ],
    ids=lambda text: text[:20],
)
def test_a_hostile_file_is_refused_quickly(text: str, words: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ConfigError, match=words):
        parse_document(text, "f.yaml")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml:1: the file is empty"),
        ("# only this\n", "f.yaml:1: the file is empty"),
        ("a: 1\nb: [\n", "f.yaml:3: not valid YAML: did not find expected node content (column 1)"),
        ("a: 1\na: 2\n", "f.yaml:2: key 'a' is there twice; first at line 1"),
        ("a: {x: 1,\n  y: 2, x: 3}\n", "f.yaml:2: key 'x' is there twice; first at line 1"),
        ("1: a\n'1': b\n", "f.yaml:2: key '1' is there twice; first at line 1"),
        ("a: \x07\n", "f.yaml:1: not valid YAML: control characters are not allowed"),
        (
            "a: 1\n---\nb: 2\n",
            "f.yaml:2: not valid YAML: expected a single document in the stream, but found another document (column 1)",
        ),
        ("a: !!binary aGk=\n", "f.yaml:1: the tag 'tag:yaml.org,2002:binary' is not supported"),
        ("a: !!set {b}\n", "f.yaml:1: the tag 'tag:yaml.org,2002:set' is not supported"),
        ("[a]: b\n", "f.yaml:1: a key must be text"),
        ("'a': \"b\n", "f.yaml:2: not valid YAML: found unexpected end of stream (column 1)"),
        (
            "a: \ud800\n",
            "f.yaml: not text: 'utf-8' codec can't encode character '\\ud800' in position 3: surrogates not allowed",
        ),
    ],
)
def test_what_is_not_one_plain_document_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, "f.yaml")
    assert caught.value.message == message


def test_a_missing_file_names_the_one_that_may_be_meant(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match=r"quickstrat\.yaml: no such file") as caught:
        read_document(tmp_path / "quickstrat.yaml")
    assert caught.value.hint == f"did you mean {tmp_path}/quickstart.yaml?"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file") as caught:
        read_document(tmp_path / "gone" / "a.yaml")
    assert caught.value.hint == f"there is no folder {tmp_path}/gone either"


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_document(tmp_path)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_document(Path("a\0b"))


def test_text_in_another_encoding_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        read_document(path)
    assert caught.value.message == f"{path}:2: not UTF-8 text (byte 11)"


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"# " + b"x" * BYTES_MAX)
    with pytest.raises(ConfigError, match=f"larger than {BYTES_MAX} bytes"):
        read_document(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes("\ufeffa: 1\n".encode())
    assert read_document(path).data == {"a": 1}


YAML_LIKE = st.text(alphabet=string.ascii_lowercase + " \n\t:-[]{},&*!|>'\"#%?<@`~0123456789.", max_size=80)
SWEEP_LIKE = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "sweep",
                "model",
                "variants",
                "runtimes",
                "matrix",
                "exclude",
                "measure",
                "trials",
                "accuracy",
                "order",
                "x",
            ]
        ),
        st.sampled_from(
            [
                "s",
                "1",
                "-1",
                "1e999",
                "~",
                "[]",
                "[a]",
                "{}",
                "{a: 1}",
                "[{exec: {name: a}}]",
                "[exec]",
                "[[1]]",
                "{threads: [~]}",
                "true",
                "&a [*a]",
                "*a",
                "!t x",
            ]
        ),
    ),
    max_size=8,
).map(lambda pairs: "".join(f"{key}: {value}\n" for key, value in pairs))


@given(st.one_of(st.text(max_size=60), YAML_LIKE, SWEEP_LIKE))
@example("? ")
@example("<<:")
@example("&")
@example("- - - ? :")
def test_no_text_makes_anything_worse_than_a_mistake(text: str) -> None:
    try:
        check_section(parse_document(text, "f.yaml"), SweepSection)
    except ConfigError as error:
        assert all(line.startswith("f.yaml:") for line in error.message.split("\n")[:1])  # noqa: PT017


@given(st.binary(max_size=80))
def test_no_bytes_make_anything_worse_than_a_mistake(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(raw)
    try:
        read_document(path)
    except ConfigError as error:
        assert error.message.startswith(str(path))  # noqa: PT017


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(string.printable, max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), PLAIN, min_size=1, max_size=4))
def test_json_is_read_as_json(value: dict[str, Any]) -> None:
    assert data(json.dumps(value)) == value


@pytest.mark.timeout(30)
def test_a_pipe_in_a_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    for name in ("a.yaml", "link.yaml"):
        with pytest.raises(ConfigError, match=rf"{name}: cannot be read: a pipe, not a regular file"):
            read_document(tmp_path / name)


def test_a_pipe_of_a_shell_is_read(tmp_path: Path) -> None:
    program = "import sys, pathlib; from orchestrator.specs.document import read_document as read"
    program += "; print(read(pathlib.Path(sys.argv[1])).data)"
    words = ["bash", "-c", '"$0" -c "$1" <(echo "a: 1")', sys.executable, program]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "{'a': 1}\n", done.stderr
