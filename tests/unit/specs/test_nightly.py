"""Nightly files: every mistake is named with its line, and nothing of somebody else runs or is sent by chance."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Format
from orchestrator.domain.nightly import BaselineChoice, BaselineRule
from orchestrator.specs.nightly import check_command, load_nightly
from orchestrator.specs.reach import Reach

LEAST = "nightly: digits\nsweeps: [a.yaml]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lab = tmp_path / "lab"
    lab.mkdir()
    monkeypatch.chdir(lab)
    for name in ("a.yaml", "b.yaml", "c.yaml", "int8.tflite"):
        (lab / name).write_text("sweep: a\n")
    return lab


def write(text: str) -> Path:
    path = Path("nightly.yaml")
    path.write_text(text)
    return path


def test_a_file_of_two_lines_has_a_default_for_everything_else(folder: Path) -> None:
    nightly = load_nightly(write(LEAST)).nightly
    assert nightly.sweeps == (str(folder / "a.yaml"),)
    assert [metric.name for metric in nightly.metrics] == ["latency_ns"]
    assert nightly.baseline == BaselineRule(BaselineChoice.LAST_GOOD)
    assert (nightly.select, nightly.trials_most, nightly.canaries, nightly.notify) == ("all", 30, (), ())


def test_every_key_is_understood(folder: Path) -> None:
    nightly = load_nightly(
        write(
            LEAST
            + """\
devices: class=rpi
canaries: [b.yaml, c.yaml]
candidate:
  artifacts: {digits: {int8: int8.tflite, fp32: {onnx: build/net.onnx}}}
  command: [make, all]
  runtimes: {"ai-edge-litert==2.3.0": "ai-edge-litert==2.4.0"}
baseline: rolling 7
min_effects: {latency: {"class=rpi": 0.03, all: 0.02}, memory: 0.05, tokens_s: 0.1}
max_accuracy_drop: 0.005
device_time: {extra: 0.1, extra_most: 1}
confirm: {trials_most: 10}
notify: [CHAT, "json://host/path"]
outputs: {html: "out/{night}.html"}
"""
        )
    ).nightly
    assert nightly.candidate.artifacts == {
        "digits": {
            "int8": {Format.TFLITE: str(folder / "int8.tflite")},
            "fp32": {Format.ONNX: str(folder / "build" / "net.onnx")},
        }
    }
    assert nightly.candidate.runtimes == {"ai-edge-litert==2.3.0": "ai-edge-litert==2.4.0"}
    assert nightly.baseline == BaselineRule(BaselineChoice.ROLLING, 7)
    pi = Device("pi", TransportKind.SSH, tags={"class": "rpi"})
    other = Device("box", TransportKind.SSH)
    assert [(one.metric, one.on(pi), one.on(other)) for one in nightly.min_effects] == [
        ("latency_ns", 0.03, 0.02),
        ("rss_bytes_max", 0.05, 0.05),
        ("tokens_s", 0.1, 0.1),  # what a program of the lab reports
    ]
    assert (nightly.extra, nightly.extra_most, nightly.trials_most) == (0.1, 1, 10)
    assert nightly.outputs == {"html": str(folder / "out" / "{night}.html")}


@pytest.mark.usefixtures("folder")
def test_addresses_are_in_no_text_of_a_nightly() -> None:
    nightly = load_nightly(write(LEAST + 'notify: ["json://token@host"]\n')).nightly
    assert "token" not in repr(nightly)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nightly: a\n", "missing key 'sweeps'"),
        ("name: a\nsweeps: [a.yaml]\nnightly: a\n", ":1: unknown key 'name' (did you mean 'nightly'?)"),
        ("nightly: a\nsweeps: [no.yaml]\n", ":2: no such file: no.yaml"),
        ("nightly: a\nsweeps: [a.yaml, ./a.yaml]\n", ":2: sweeps: './a.yaml' is there twice"),
        (LEAST + "baseline: yesterday\n", ":3: baseline: 'yesterday' is not a baseline"),
        (LEAST + "baseline: rolling 0\n", "is not a baseline"),
        (LEAST + "min_effects: {latncy: 0.1}\n", ":3: no metric 'latncy'"),
        (LEAST + "min_effects: {latency: 0.1, latency_ns: 0.1}\n", "once more"),
        (LEAST + "min_effects: {latency: 0}\n", "must be more than 0"),
        (LEAST + "devices: 'class='\n", ":3: devices:"),
        (LEAST + "confirm: {trials_most: 7}\n", "expected 5, 10, 20 or 30"),
        (LEAST + "candidate: {artifacts: {digits: {int8: no.tflite}}}\n", ":3: no such file"),
        (LEAST + "candidate: {artifacts: {digits: {int8: /etc/passwd}}}\n", "outside of the folders"),
        (LEAST + "candidate: {artifacts: {digits: {int8: /proc/self/environ}}}\n", "the state of this machine"),
        (LEAST + "candidate: {command: make all}\n", "write a list: [make, all]"),
        (LEAST + "candidate: {runtimes: {tflite-runtime: tflite-runtime==2.14.0}}\n", "is not pinned"),
        (LEAST + "outputs: {html: ../night.html}\n", "leads out of the nightly file's folder"),
        (f"nightly: {'a' * 41}\nsweeps: [a.yaml]\n", "longer than 40 characters"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_named_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_nightly(write(text))
    assert words in f"{caught.value} ({caught.value.hint})"
    assert str(caught.value).startswith("nightly.yaml:")


def test_a_folder_is_added_by_the_users_word(folder: Path) -> None:
    outside = folder.parent / "build"
    outside.mkdir()
    (outside / "net.tflite").write_text("net")
    text = LEAST + f"candidate: {{artifacts: {{digits: {{int8: {outside}/net.tflite}}}}}}\n"
    with pytest.raises(ConfigError, match="outside of the folders"):
        load_nightly(write(text))
    assert load_nightly(write(text), Reach(others=(outside,)))


def test_a_command_runs_by_the_users_word_and_from_a_file_of_the_users_own_alone(folder: Path) -> None:
    nightly = load_nightly(write(LEAST + "candidate: {command: [make]}\n")).nightly
    with pytest.raises(ConfigError, match="would run 'make' on this machine") as caught:
        check_command(nightly, allowed=False)
    assert caught.value.hint == "if you trust the file: --allow-command"
    check_command(nightly, allowed=True)
    (folder / "nightly.yaml").chmod(0o666)
    with pytest.raises(ConfigError, match="can be written by other users: its command is not run"):
        check_command(nightly, allowed=True)
    (folder / "nightly.yaml").chmod(0o644)
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by other users"):
        check_command(nightly, allowed=True)
