from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigError
from orchestrator.models.model_file import edit_values, record_build, replace_values

TEXT = """\
# A model.  With a comment that mentions sha256: 0000 and top1: 0.9.

model: m
datasets:
  m-test.npz: {sha256: 0000, samples: 3}   # flow style
variants:
  fp32:
    sha256: '1111'
    accuracy: {top1: 0.9833, top5: 1}  # measured
  "int8":
    sha256:   "2222"   # quoted twice
    accuracy:
      top1: 0.9
"""


def test_only_the_values_change() -> None:
    edited = replace_values(
        TEXT,
        {
            ("variants", "fp32", "sha256"): "aaaa-longer",
            ("variants", "fp32", "accuracy", "top1"): "0.98",
            ("variants", "int8", "sha256"): "b",
            ("variants", "int8", "accuracy", "top1"): "0.91",
            ("datasets", "m-test.npz", "sha256"): "cccc",
            ("datasets", "m-test.npz", "samples"): "4",
        },
    )

    assert edited == (
        TEXT.replace("'1111'", "'aaaa-longer'")
        .replace("0.9833", "0.98")
        .replace('"2222"', '"b"')
        .replace("top1: 0.9\n", "top1: 0.91\n")
        .replace("{sha256: 0000, samples: 3}", "{sha256: cccc, samples: 4}")
    )


def test_no_values_change_nothing() -> None:
    assert replace_values(TEXT, {}) == TEXT


@pytest.mark.parametrize(
    "place", [("variants", "fp16", "sha256"), ("variants", "fp32"), ("model", "sha256"), ("variants",), ()]
)
def test_a_place_without_a_value_is_refused(place: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(TEXT)

    with pytest.raises(ConfigError, match="is not written there"):
        edit_values(file, {place: "x"})


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", "ü", "d e"]), st.text("0123456789abcdef", min_size=1), min_size=1),
    st.sampled_from([None, "'", '"']),
    st.booleans(),
)
def test_what_is_written_is_read_again(values: dict[str, str], style: str | None, flow: bool) -> None:
    before = yaml.safe_dump(
        {"top": dict.fromkeys(values, "old")}, default_style=style, default_flow_style=flow, allow_unicode=True
    )

    after = yaml.load(
        replace_values(before, {("top", key): value for key, value in values.items()}), Loader=yaml.BaseLoader
    )

    assert after == {"top": values}


def test_a_file_is_replaced_with_its_mode_and_its_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_bytes("model: ü\r\nsha256: 00\r\n".encode())
    file.chmod(0o640)

    record_build(file, edit_values(file, {("sha256",): "11"}))

    assert file.read_bytes() == "model: ü\r\nsha256: 11\r\n".encode()
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]
