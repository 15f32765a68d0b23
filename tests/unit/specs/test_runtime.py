from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import ENGINES, RUNTIMES, engine_of
from orchestrator.specs.runtime import parse_runtime


@pytest.mark.parametrize(
    ("text", "label", "name", "version"),
    [
        ("tflite-runtime==2.14.0", "tflite-runtime==2.14.0", "tflite-runtime", "2.14.0"),
        ("TFLite_Runtime == 2.14.0 ", "tflite-runtime==2.14.0", "tflite-runtime", "2.14.0"),
        ("ai.edge.litert==2.4.0rc1", "ai-edge-litert==2.4.0rc1", "ai-edge-litert", "2.4.0rc1"),
        ("tensorflow==2.21.0.post1+cpu.2", "tensorflow==2.21.0.post1+cpu.2", "tensorflow", "2.21.0.post1+cpu.2"),
    ],
)
def test_a_pinned_runtime_has_one_spelling(text: str, label: str, name: str, version: str) -> None:
    assert parse_runtime(text) == RuntimeSpec(label, RuntimeSource.BUNDLE, name, version)


def test_a_system_runtime_has_no_version() -> None:
    assert parse_runtime("system/tflite") == RuntimeSpec("system/tflite", RuntimeSource.SYSTEM, "tflite")


@pytest.mark.parametrize(
    "text",
    [
        "tflite-runtime",
        "tflite-runtime>=2.14",
        "tflite-runtime~=2.14.0",
        "tflite-runtime===2.14.0",
        "tflite-runtime=2.14.0",
    ],
)
def test_an_unpinned_runtime_is_told_to_pin(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not pinned|not one version") as caught:
        parse_runtime(text)
    assert "tflite-runtime==2.14.0" in (caught.value.hint or "")


@pytest.mark.parametrize("version", ["2.14.*", "latest", "2.14.0,", "2.14.0; x", "-1", "2.14.0-1 "])
def test_a_version_is_exactly_one(version: str) -> None:
    with pytest.raises(ConfigError):
        parse_runtime(f"tflite-runtime=={version}")


def test_every_known_runtime_has_an_engine_and_an_example() -> None:
    for name, runtime in RUNTIMES.items():
        with pytest.raises(ConfigError) as caught:
            parse_runtime(name)
        example = parse_runtime((caught.value.hint or "").removeprefix("pin one version, such as ").split(":")[0])
        assert engine_of(example) == runtime.engine
    for name, engine in ENGINES.items():
        assert engine_of(parse_runtime(f"system/{name}")) == engine


@given(st.text(max_size=30) | st.from_regex(r"[a-z/=-]{1,12}(==)?[0-9.*]{0,6}", fullmatch=True))
def test_any_text_is_a_runtime_or_a_mistake_with_a_remedy(text: str) -> None:
    try:
        runtime = parse_runtime(text)
    except ConfigError as error:
        assert error.hint  # noqa: PT017
    else:
        assert parse_runtime(runtime.label) == runtime
