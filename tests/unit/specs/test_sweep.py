from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.plan.admit import files_needed
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.sweep import Accuracy, Cooling, Delegation, MeasurePolicy, Order, Retries, Stop
from orchestrator.resources import shipped
from orchestrator.specs.sweep import declared_sweep, load_sweep, parse_sweep

TINY = Path(__file__).parents[2] / "contract" / "specs" / "models" / "tiny"
LEAST = "sweep: s\nmodel: {model}\nvariants: [fp32]\nruntimes: [system/tflite]\n"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with sweeps/ and models/tiny, the working folder of the test."""
    shutil.copytree(TINY, tmp_path / "models" / "tiny")
    (tmp_path / "sweeps").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(lab: Path, text: str, name: str = "sweeps/a.yaml") -> Path:
    path = lab / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Path(name)


def test_everything_that_a_file_says_arrives(lab: Path) -> None:
    path = write(
        lab,
        """
sweep: digits-variants
model: models/tiny
variants: [fp32, int8]
runtimes: [tflite-runtime==2.14.0, ai-edge-litert==2.3.0]     # or system/tflite, or exec
matrix: {threads: [1, 2], delegate: [xnnpack]}
exclude: [{variant: int8, runtime: "tflite-runtime*"}]
measure: {warmup: {runs_min: 6, seconds_min: 0.4}, runs_min: 51, seconds_min: 1.5, seconds_max: 21, runs_max: 99}
trials: 6
accuracy: {dataset: tiny-test.npz, metric: top1}
order: {interleave: false, seed: 7}
retries: {failed: 1, invalid: 2}
timeouts: {trial_s: 121}
profile: operators
delegates: {nodes_min: 95%, allow_fallback: true}
""",
    )
    loaded = load_sweep(path)
    sweep = loaded.sweep
    assert loaded.text == (lab / path).read_text()
    assert loaded.model.name == "tiny"
    assert (sweep.name, sweep.model, sweep.source) == ("digits-variants", str(lab / "models/tiny"), "sweeps/a.yaml")
    assert sweep.variants == ("fp32", "int8")
    assert [runtime.declared_at for runtime in sweep.runtimes] == ["sweeps/a.yaml:5", "sweeps/a.yaml:5"]
    assert sweep.runtimes == (
        RuntimeSpec("tflite-runtime==2.14.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.14.0"),
        RuntimeSpec("ai-edge-litert==2.3.0", RuntimeSource.BUNDLE, "ai-edge-litert", "2.3.0"),
    )
    assert sweep.matrix == {"threads": (1, 2), "delegate": ("xnnpack",)}
    assert sweep.exclude == ({"variant": "int8", "runtime": "tflite-runtime*"},)
    assert sweep.measure == MeasurePolicy(6, 0.4, 51, 1.5, 21.0, 99)
    assert (sweep.trials, sweep.trial_timeout_s) == (6, 121.0)
    assert sweep.accuracy == Accuracy("tiny-test.npz", "top1")
    assert sweep.order == Order(interleave=False, seed=7)
    assert sweep.retries == Retries(1, 2)
    assert sweep.profile == "operators"
    assert sweep.delegation == Delegation(0.95, allow_fallback=True)


def test_what_a_file_does_not_say_has_the_defaults_of_the_domain(lab: Path) -> None:
    sweep = load_sweep(write(lab, LEAST.format(model="models/tiny"))).sweep
    assert (sweep.measure, sweep.order, sweep.retries) == (MeasurePolicy(), Order(), Retries())
    assert (sweep.trials, sweep.trial_timeout_s, sweep.accuracy, sweep.profile) == (5, 120.0, None, None)


@pytest.mark.parametrize("reference", ["../models/tiny", "models/tiny", "{lab}/models/tiny"])
def test_a_model_is_looked_for_beside_the_sweep_and_then_in_the_working_folder(lab: Path, reference: str) -> None:
    path = write(lab, LEAST.format(model=reference.format(lab=lab)))
    assert load_sweep(path).model.directory == str(lab / "models/tiny")


def test_a_model_beside_the_sweep_comes_before_one_in_the_working_folder(lab: Path) -> None:
    shutil.copytree(TINY, lab / "sweeps" / "models" / "tiny")
    path = write(lab, LEAST.format(model="models/tiny"))
    assert load_sweep(path).model.directory == str(lab / "sweeps/models/tiny")


def test_a_sweep_in_a_linked_folder_finds_its_model_from_where_it_really_is(lab: Path) -> None:
    write(lab, LEAST.format(model="../models/tiny"))
    elsewhere = lab / "deep" / "down"
    elsewhere.mkdir(parents=True)
    (elsewhere / "linked").symlink_to(lab / "sweeps")
    assert load_sweep(Path("deep/down/linked/a.yaml")).model.directory == str(lab / "models/tiny")


def test_a_model_that_is_nowhere_names_both_places_and_what_is_near(lab: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_sweep(write(lab, LEAST.format(model="../models/tinny")))
    assert caught.value.message == (
        "sweeps/a.yaml:2: no model '../models/tinny': "
        "there is no models/tinny/model.yaml nor ../models/tinny/model.yaml"
    )
    assert caught.value.hint == "did you mean 'tiny'?"


def test_a_changed_model_file_names_both_hashes_and_the_command_that_checks(lab: Path) -> None:
    (lab / "models/tiny/tiny-fp32.tflite").write_bytes(b"else")
    path = write(lab, LEAST.format(model="models/tiny"))
    with pytest.raises(ConfigError) as caught:
        load_sweep(path)
    assert caught.value.message.startswith("models/tiny/model.yaml:11: models/tiny/tiny-fp32.tflite has SHA-256 ")
    assert caught.value.message.count(", declared is ") == 1
    assert caught.value.hint == "benchfleet models verify models/tiny"
    assert load_sweep(path, verify=False).model.name == "tiny"


def test_the_files_of_a_program_are_found_from_the_sweep(lab: Path) -> None:
    (lab / "sweeps/data").mkdir()
    (lab / "sweeps/bench.sh").write_text("true\n")
    (lab / "sweeps/data/x.bin").write_text("x")
    program = "{name: demo, command: [sh, bench.sh, ''], files: [bench.sh, data/x.bin], "
    program += "packages: [PyOpen_Wakeword == 1.1.0]}"
    text = LEAST.format(model="models/tiny").replace("[system/tflite]", f"\n  - exec: {program}")
    loaded = load_sweep(write(lab, text))
    assert loaded.sweep.runtimes == (
        RuntimeSpec(
            "exec/demo",
            RuntimeSource.EXEC,
            "demo",
            program=ExecProgram(
                ("sh", "bench.sh", ""),
                (("bench.sh", f"{lab}/sweeps/bench.sh"), ("x.bin", f"{lab}/sweeps/data/x.bin")),
                packages=("pyopen-wakeword==1.1.0",),
            ),
        ),
    )
    assert f"{lab}/sweeps/data/x.bin" in files_needed(loaded.sweep, loaded.model)


def test_a_recorded_text_is_read_as_if_the_file_were_still_there(lab: Path) -> None:
    loaded = parse_sweep(LEAST.format(model="../models/tiny"), Path("sweeps/long-gone.yaml"))
    assert loaded.sweep.source == "sweeps/long-gone.yaml"
    assert loaded.model.name == "tiny"


def test_every_complaint_of_a_file_is_told_in_the_order_of_its_lines(lab: Path) -> None:
    text = LEAST.format(model="models/tiny") + "exclude: [{varaint: a}]\naccuracy: {dataset: no.npz}\n"
    text = text.replace("[fp32]", "[fp32, fp32]")
    with pytest.raises(ConfigError) as caught:
        load_sweep(write(lab, text))
    assert caught.value.message.split("\n") == [
        "sweeps/a.yaml:3: variants: 'fp32' is there twice",
        "sweeps/a.yaml:5: an exclude rule cannot name 'varaint' (did you mean 'variant'?)",
        "sweeps/a.yaml:6: model 'tiny' has no dataset 'no.npz' (known: tiny-test.npz)",
    ]
    assert caught.value.hint is None


def test_an_unknown_variant_is_told_beside_a_misspelt_key(lab: Path) -> None:
    text = LEAST.format(model="models/tiny").replace("[fp32]", "[fp23, 7]") + "trails: 5\n"
    with pytest.raises(ConfigError) as caught:
        load_sweep(write(lab, text))
    told = caught.value.message
    assert "model 'tiny' has no variant 'fp23' (did you mean 'fp32'?)" in told
    assert "unknown key 'trails' (did you mean 'trials'?)" in told


MEGABYTE = "a" * 1_000_000


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sweep: s", f"sweep: {MEGABYTE}"),
        ("[fp32]", f"[{MEGABYTE}]"),
        ("[system/tflite]", f"[{MEGABYTE}]"),
        ("sweep: s", f"sweep: s\nmatrix: {{delegate: [{MEGABYTE}]}}"),
        ("sweep: s", f"sweep: s\nmatrix: {{cpus: ['{MEGABYTE}']}}"),
        ("sweep: s", f"sweep: s\nexclude: [{{variant: '{'*a' * 400_000}'}}]"),
        ("sweep: s", f"sweep: s\naccuracy: {{dataset: {MEGABYTE}}}"),
        ("[system/tflite]", f"[{{exec: {{name: a, command: [sh, -c, {MEGABYTE}]}}}}]"),
    ],
    ids=["name", "variant", "runtime", "delegate", "cpus", "rule", "data set", "argument"],
)
@pytest.mark.timeout(20)  # a pattern of this length took half a minute to compile
def test_an_endless_word_is_neither_taken_nor_repeated(lab: Path, old: str, new: str) -> None:
    text = LEAST.format(model="models/tiny").replace(old, new)
    with pytest.raises(ConfigError) as caught:
        load_sweep(write(lab, text))
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("written", "told", "hint"),
    [
        ("'3'", "trials: expected a whole number, not '3'", "remove the quotes"),
        ("9" * 100, "trials: a number of 100 digits is too large", "write fewer digits"),
        (f"'{'9' * 5000}'", "trials: a number of 5000 digits is too large", "write fewer digits"),
        ("three", "trials: expected a whole number, not 'three'", None),
    ],
    ids=["quoted", "endless", "endless and quoted", "a word"],
)
def test_the_remedy_of_a_number_fits_what_was_written(lab: Path, written: str, told: str, hint: str | None) -> None:
    with pytest.raises(ConfigError, match=rf"{re.escape(told)}$") as caught:
        load_sweep(write(lab, LEAST.format(model="models/tiny") + f"trials: {written}\n"))
    assert caught.value.hint == hint


SHIPPED = sorted(shipped("sweeps").rglob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_sweep_is_valid_from_any_folder(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_sweep(path).sweep.variants


def test_the_quickstart_is_there_among_the_shipped_sweeps() -> None:
    quickstart = load_sweep(shipped("sweeps") / "quickstart.yaml").sweep
    assert quickstart.variants == ("fp32", "fp16", "dynamic", "int8")
    assert [runtime.label for runtime in quickstart.runtimes] == ["tflite-runtime==2.14.0", "ai-edge-litert==2.3.0"]
    assert (quickstart.matrix, quickstart.trials) == ({"threads": (1,)}, 5)


def test_a_recorded_sweep_is_read_without_its_files(lab: Path) -> None:
    program = "{exec: {name: gone, command: [sh, gone.sh], files: [gone.sh]}}"
    (lab / "sweeps" / "gone.sh").touch()
    path = write(lab, LEAST.format(model="../models/tiny").replace("system/tflite", program))
    loaded = load_sweep(path)
    (lab / "sweeps" / "gone.sh").unlink()
    shutil.rmtree(lab / "models")
    assert declared_sweep(loaded.text, path, loaded.model.directory) == loaded.sweep


def test_a_share_is_exact(lab: Path) -> None:
    for text, share in (("29%", 0.29), ("87.5 %", 0.875), ("0.5", 0.5), ("1", 1.0)):
        sweep = (
            LEAST.format(model="models/tiny") + f"matrix: {{delegate: [xnnpack]}}\ndelegates: {{nodes_min: {text}}}\n"
        )
        assert load_sweep(write(lab, sweep)).sweep.delegation.nodes_min == share


def test_conditions_and_limits_are_one_mechanism(lab: Path) -> None:
    text = LEAST.format(model="models/tiny") + (
        "conditions: {temperature_c_max: 70, cooldown_to_c: 55, cooldown_s_max: 300, throttled: false, "
        "cpu_pressure_max: 5, steal_max: 2%, frequency_min: 95%, governor: performance, on_invalid: {rerun_max: 3}}\n"
        "limits: {other_load_max_percent: null}\n"
    )
    sweep = load_sweep(write(lab, text)).sweep
    assert sweep.limits == {
        "temperature_c_max": 70.0,
        "cpu_pressure_max_percent": 5.0,
        "cpu_steal_max_percent": 2.0,
        "frequency_min_percent": 95.0,
        "governor": "performance",
        "other_load_max_percent": None,
    }
    assert (sweep.cooling, sweep.retries, sweep.unthrottled) == (Cooling(55.0, 300.0), Retries(0, 3), True)


def test_a_stop_rule_takes_the_place_of_trials(lab: Path) -> None:
    text = LEAST.format(model="models/tiny") + "stop: {ci_halfwidth: 1%, trials_max: 12}\n"
    sweep = load_sweep(write(lab, text)).sweep
    assert (sweep.stop, sweep.trials) == (Stop(0.01, 12, None), 12)
