from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.specs.document import parse_document
from orchestrator.specs.overrides import overridden
from orchestrator.specs.sweep import load_sweep, parse_sweep

TINY = Path(__file__).parents[2] / "contract" / "specs" / "models" / "tiny"
SWEEP = """\
# A sweep of mine.
sweep: s
model: ../models/tiny
variants:
  - fp32     # the float one
  - int8

# What runs it.
runtimes:
  - tflite-runtime==2.14.0
  - exec: {name: mine, command: [sh, a.sh]}
trials: 3    # few
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(TINY, tmp_path / "models" / "tiny")
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "inventory").mkdir()  # a lab: its models may be sent
    monkeypatch.chdir(tmp_path / "sweeps")
    Path("a.yaml").write_text(SWEEP)
    return Path("a.yaml")


def refusal(path: Path, *settings: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_sweep(path, overrides=settings)
    return caught.value


def test_any_key_is_replaced_and_the_rest_stays_as_written_at_its_line(sweep: Path) -> None:
    given = ("trials=10", "measure.seconds_max=5", "variants=[int8]", "matrix.threads=[1, 2]")
    file = load_sweep(sweep, overrides=given)
    assert (file.sweep.trials, file.sweep.measure.seconds_max, file.sweep.variants) == (10, 5, ("int8",))
    assert (file.sweep.matrix, file.overrides) == ({"threads": (1, 2)}, given)
    assert [one.declared_at for one in file.sweep.runtimes] == ["a.yaml:10", "a.yaml:11"]
    lines = file.text.split("\n")
    assert lines[7:11] == SWEEP.split("\n")[7:11]
    assert lines[3] == 'variants: ["int8"]  # given on the command line'


def test_the_stored_text_alone_gives_the_same_sweep_and_is_known_for_the_file_with_the_settings(sweep: Path) -> None:
    given = ("trials=10", "limits.temperature_c_max=80")
    file = load_sweep(sweep, overrides=given)
    again = parse_sweep(file.text, sweep, overrides=given)
    assert again.sweep == file.sweep
    # Without its settings the text is not the file's: the folder must not count for whoever wrote that text.
    shutil.copy("a.yaml", "a.sh")
    with_file = (*given, "runtimes=[{exec: {name: mine, command: [sh, a.sh], files: [a.sh]}}]")
    stored = load_sweep(sweep, overrides=with_file).text
    assert parse_sweep(stored, sweep, overrides=with_file).sweep.runtimes[0].program is not None
    with pytest.raises(ConfigError, match="outside of the folders"):
        parse_sweep(stored, sweep)


def test_a_program_of_the_sweep_is_named_by_its_label(sweep: Path) -> None:
    labels = [one.label for one in load_sweep(sweep, overrides=['runtimes=["exec/mine"]']).sweep.runtimes]
    assert labels == ["exec/mine"]


def test_without_variants_every_variant_of_the_model_counts(sweep: Path) -> None:
    sweep.write_text("sweep: s\nmodel: ../models/tiny\nruntimes: [system/tflite]\n")
    file = load_sweep(sweep)
    assert file.sweep.variants == tuple(file.model.variants)
    assert len(file.sweep.variants) > 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("trials=0", "--set trials=0: trials: must be at least 1, not 0"),
        ("trials=", "--set trials=: trials: expected a whole number, not nothing"),
        ("trails=3", "--set trails=3: unknown key 'trails'"),
        ("trials.more=3", "--set trials.more=3: trials has no keys below it"),
        ("trials", "--set trials: expected KEY=VALUE"),
        (".x=3", "--set .x=3: expected KEY=VALUE"),
        ("variants=[int9]", "--set variants=[int9]: model 'tiny' has no variant 'int9'"),
        ("measure.seconds_min=900", "--set measure.seconds_min=900: "),
        ("trials=[", "--set trials=[:2: not valid YAML"),
        ("model=../models/none", "--set model=../models/none: no model '../models/none'"),
    ],
)
def test_a_setting_is_checked_as_the_files_would_be_and_named(sweep: Path, setting: str, message: str) -> None:
    found = refusal(sweep, setting)
    if message.endswith(": "):  # the complaint stands at the key that contradicts
        assert "seconds_max 20 is less than seconds_min 900" in found.message
    else:
        assert found.message.startswith(message)


def test_a_mistake_of_the_file_keeps_its_line_beside_settings(sweep: Path) -> None:
    sweep.write_text(SWEEP.replace("trials: 3", "retries: {failed: -1}"))
    assert refusal(sweep, "variants=[fp32]").message == "a.yaml:12: retries.failed: must be at least 0, not -1"


@pytest.mark.parametrize(
    "text",
    [
        '{"sweep": "s", "trials": 3}',
        "a: &x {trials: 3}\n<<: *x\nsweep: s\n",
        "sweep: s\ntrials: &n 3\nretries: {failed: *n}\n",
        "sweep: s\r\ntrials: 3\r\nseed: 4\r\n",
        "--- {sweep: s, trials: 3}\n",
        "sweep: |\n  s\n  # text\ntrials: 3\n...\n",
        'sweep: "s"\n"trials": 3',
    ],
)
def test_texts_of_every_form_mean_their_data_with_the_value(text: str) -> None:
    before = parse_document(text, "f").data
    changed = overridden(parse_document(text, "f"), ["trials=10", "new.key=[a, 1.0, true]"])
    found = parse_document(changed.text, "f").data
    assert found == changed.data == {**before, "trials": 10, "new": {"key": ["a", 1.0, True]}}
