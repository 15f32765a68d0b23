"""What a night writes down is read back as the very same sweep and model."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from orchestrator.domain.model import Artifact, Format, ModelInput, ModelOutput, StatePolicy
from orchestrator.domain.need import Need
from orchestrator.domain.runtimes import engine_of
from orchestrator.domain.sweep import Accuracy, Cooling, Delegation, MeasurePolicy, Order, Retries, Setting, Stop, Sweep
from orchestrator.domain.tolerance import Tolerance
from orchestrator.specs.model import MODEL_FILE, load_model
from orchestrator.specs.reach import Reach
from orchestrator.specs.sweep import load_sweep
from orchestrator.specs.written import model_text, sweep_text

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["digits", "mobilenet"])
def test_a_model_is_read_back(name: str, tmp_path: Path) -> None:
    model = replace(
        load_model(REPOSITORY / "models" / name, verify=False),
        recipe=None,
        inputs={"mask": ModelInput((), "bool", 0.0, 1.0, "next")},
        state=StatePolicy.RESET,
        output=ModelOutput((1, 10), "classes"),
    )
    (tmp_path / MODEL_FILE).write_text(model_text(model), encoding="utf-8")

    found = load_model(tmp_path, verify=False)

    moved = replace(found, directory=model.directory, variants=model.variants, datasets=model.datasets)
    assert moved == model
    assert {name: [one.sha256 for one in variant.artifacts] for name, variant in found.variants.items()} == {
        name: [one.sha256 for one in variant.artifacts] for name, variant in model.variants.items()
    }
    assert [replace(one, artifacts=()) for one in found.variants.values()] == [
        replace(one, artifacts=()) for one in model.variants.values()
    ]


def _asking_for_a_delegate(sweep: Sweep) -> dict[str, tuple[Setting, ...]]:
    """Return a setting that asks every runtime of a sweep for a delegate; {} for runtimes of several engines."""
    known = [engine_of(runtime).settings for runtime in sweep.runtimes]
    values: dict[str, Setting] = {"delegate": "xnnpack", "provider": "CPUExecutionProvider"}
    return next(
        ({key: (one,)} for key, one in values.items() if all(keys is None or key in keys for keys in known)), {}
    )


@pytest.mark.parametrize("path", sorted((REPOSITORY / "sweeps").rglob("*.yaml")), ids=lambda path: path.stem)
def test_a_sweep_is_read_back(path: Path, tmp_path: Path) -> None:
    sweep = load_sweep(path, verify=False).sweep
    asking = _asking_for_a_delegate(sweep)
    changed = replace(
        sweep,
        measure=MeasurePolicy(7, 0.25, 9, 1, 2, 30),
        trials=30,
        stop=Stop(0.015, 30, 600.0),
        cooling=Cooling(55.0, 30.0),
        agreement=Tolerance(0.25, 0.125),
        unthrottled=True,
        order=Order(interleave=False, seed=1 << 40),
        retries=Retries(2, 3),
        trial_timeout_s=33,
        only=({"variant": sweep.variants[0], "device": "pi-[[]*"},),
        allow_failures=({"variant": sweep.variants[0]},),
        exclude=({"variant": sweep.variants[-1], "threads": 99},),
        matrix={"threads": (1, 99), **asking},
        limits={"temperature_c_max": None, "cpu_pressure_max_percent": 12.5, "governor": "performance"},
        accuracy=Accuracy("digits-test.npz") if sweep.accuracy else None,
        profile="operators",
        preemptible=True,
        need=Need("class=rpi,not pi-3", 2, "rack"),
        environment={"OMP_PROC_BIND": "close", "API_TOKEN": None},
        delegation=Delegation(0.5, allow_fallback=True) if asking else Delegation(),
    )
    # A field that a sweep gains later must be written too, or a night would measure by other terms.
    usual = Sweep(changed.name, changed.model, changed.variants, changed.runtimes)
    same = [one.name for one in fields(Sweep) if getattr(changed, one.name) == getattr(usual, one.name)]
    unsaid = {"model", "models", *([] if asking else ["delegation"])}
    assert set(same) <= {"name", "variants", "runtimes", "accuracy", *unsaid}
    written = tmp_path / "written.yaml"
    written.write_text(sweep_text(changed, tmp_path), encoding="utf-8")

    found = load_sweep(written, verify=False, reach=Reach(REPOSITORY / "models", (REPOSITORY,))).sweep

    assert replace(found, source="") == replace(changed, source="", model=found.model)
    assert Path(found.model).resolve() == Path(changed.model).resolve()


def test_an_artifact_of_another_ending_keeps_its_format(tmp_path: Path) -> None:
    model = load_model(REPOSITORY / "models" / "digits", verify=False)
    strange = Artifact(Format.SAVED_MODEL, f"{model.directory}/archive.zip", "a" * 64, "by hand")
    model = replace(model, variants={"fp32": replace(model.variants["fp32"], artifacts=(strange,))}, recipe=None)
    (tmp_path / MODEL_FILE).write_text(model_text(model), encoding="utf-8")

    (found,) = load_model(tmp_path, verify=False).variants["fp32"].artifacts

    assert replace(found, path=strange.path) == strange
