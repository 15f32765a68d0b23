"""Which cells a plan leaves out, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from device_worker.protocol.plan import Plan as WorkerPlan
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.facts import Facts
from orchestrator.domain.plan.admit import files_needed
from orchestrator.domain.plan.compose import plan_device
from orchestrator.domain.plan.values import RuntimeOffer
from orchestrator.domain.runtime import ExecProgram, RuntimeSpec
from orchestrator.domain.sweep import Setting
from tests.unit.domain.plan_documents import reasons
from tests.unit.domain.planning import MODEL, NEW, OLD, PROGRAM, SWEEP, SYSTEM, inputs, offer, sha256


def test_a_rule_excludes_what_it_fits_and_is_named() -> None:
    sweep = replace(
        SWEEP, exclude=({"variant": "int8", "runtime": "tflite-runtime*"}, {"device": "pi-*", "threads": 2})
    )
    plan = plan_device(inputs(sweep))
    assert [job.label for job in plan.jobs] == [
        "fp32 · tflite-runtime==2.14.0 · threads=1",
        "fp32 · ai-edge-litert==2.3.0 · threads=1",
        "int8 · ai-edge-litert==2.3.0 · threads=1",
    ]
    assert reasons(plan)["int8 · tflite-runtime==2.14.0 · threads=2"] == (
        "exclude rule 1 of the sweep (variant: int8, runtime: tflite-runtime*)"
    )
    assert reasons(plan)["fp32 · ai-edge-litert==2.3.0 · threads=2"] == (
        "exclude rule 2 of the sweep (device: pi-*, threads: 2)"
    )


def test_a_runtime_that_cannot_be_had_is_excluded_for_its_own_reason() -> None:
    offers = (offer(OLD), RuntimeOffer(NEW, unavailable="no wheel of ai-edge-litert 2.3.0 for armv7l, Python 3.11"))
    plan = plan_device(inputs(offers=offers))
    assert {job.runtime for job in plan.jobs} == {OLD}
    assert set(reasons(plan).values()) == {"no wheel of ai-edge-litert 2.3.0 for armv7l, Python 3.11"}


EVERY = {"cpus_present": "0-3", "cpus_online": "0-3"}
ISOLATED = {**EVERY, "cpu_count": 1, "cpus_allowed": "1", "cpus_usable": "0-3"}
"""A login under isolcpus: the kernel keeps three processors from it, and it may pin itself to each."""

CPUSET = {**EVERY, "cpu_count": 2, "cpus_allowed": "2-3", "cpus_usable": "2-3"}
OUTSIDE = "the cpuset of its container, service or slice leaves the others out"
OFFLINE = {**EVERY, "cpu_count": 3, "cpus_online": "0-1,3", "cpus_usable": "0-1,3"}


@pytest.mark.parametrize(
    ("matrix", "facts", "reason"),
    [
        ({"threads": (8,)}, {"cpu_count": 4}, "8 threads on a device of 4 processors"),
        ({"threads": (2,)}, {"cpu_count": 1}, "2 threads on a device of 1 processor"),
        ({"cpus": ("2-5",)}, {"cpus_present": "0-3"}, "cpus=2-5: processor 4-5 is not there, only 0-3"),
        ({"cpus": ("2",)}, OFFLINE, "cpus=2: processor 2 is offline, online are 0-1,3"),
        (
            {"cpus": ("1,3",)},
            CPUSET,
            f"cpus=1,3: the device's user may not use processor 1, only 2-3: {OUTSIDE}",
        ),
        ({"threads": (4,), "cpus": ("0-1",)}, {"cpu_count": 4}, "4 threads pinned to 2 processors (cpus=0-1)"),
        ({"threads": (4,), "cpus": ("0-1",)}, {}, "4 threads pinned to 2 processors (cpus=0-1)"),
        ({"threads": (8,)}, {}, None),
        ({"cpus": ("63",)}, {"cpu_count": None}, None),
        ({"threads": (4,), "cpus": ("0-3",)}, {"cpu_count": 4}, None),
        ({"cpus": ("0", "1")}, ISOLATED, None),
        ({"threads": (2,), "cpus": ("0-1",)}, ISOLATED, None),
        (
            {"threads": (2,)},
            ISOLATED,
            "2 threads, and an unpinned trial may use 1 of 4 processors there; pin the cell to more by cpus",
        ),
        ({"threads": (2,)}, {**ISOLATED, "cpu_count": 2}, None),
        ({"threads": (3,)}, CPUSET, "3 threads, and an unpinned trial may use 2 of 4 processors there"),
        ({"cpus": ("0-1,3", "0-1, 3", "3,0,1")}, OFFLINE, None),
        ({"threads": (3,), "cpus": ("0-1,1",)}, OFFLINE, "3 threads pinned to 2 processors (cpus=0-1,1)"),
        ({"cpus": ("0-3",)}, OFFLINE, "cpus=0-3: processor 2 is offline, online are 0-1,3"),
        ({"cpus": ("0",)}, {"cpu_count": 1, "cpus_present": "0", "cpus_online": "0", "cpus_usable": "0"}, None),
        ({"cpus": ("2-3",)}, CPUSET, None),
        ({"cpus": ("5",)}, {"cpu_count": 2}, None),
        ({"cpus": ("5",)}, {"cpus_present": ["0-3"], "cpus_online": "9" * 9000, "cpus_usable": "all"}, None),
    ],
)
def test_what_the_processors_cannot_do_is_excluded(
    matrix: dict[str, tuple[Setting, ...]], facts: dict[str, Any], reason: str | None
) -> None:
    plan = plan_device(inputs(replace(SWEEP, matrix=matrix), facts=Facts(facts)))
    assert set(reasons(plan).values()) == ({reason} if reason else set())


def test_pinned_cells_are_excluded_where_the_inventory_does_not_allow_pinning() -> None:
    sweep = replace(SWEEP, matrix={"cpus": ("0",)})
    asked = inputs(sweep)
    assert reasons(plan_device(asked)) == {}
    plan = plan_device(replace(asked, device=replace(asked.device, allow=("governor",))))
    assert set(reasons(plan).values()) == {
        f"the inventory does not allow to pin trials there; set allow: [cpus] for {asked.device.name}"
    }
    assert plan.jobs == ()
    assert Device("board", TransportKind.SSH).allow == (), "nothing is allowed without a word in the inventory"


NOEXEC = {"state_dir": "/home/pi/bf", "health": {"noexec": True}}
SENT = replace(PROGRAM, program=ExecProgram(("bench.sh",), (("bench.sh", "/sweeps/bench.sh"),)))


@pytest.mark.parametrize(
    ("runtime", "what"),
    [(OLD, "no library of a bundle"), (SENT, "no program that is sent"), (SYSTEM, None), (PROGRAM, None)],
)
def test_what_a_noexec_mount_cannot_run_is_excluded_and_nothing_else(runtime: RuntimeSpec, what: str | None) -> None:
    """`sh bench.sh` reads the program that was sent, and runs the device's own sh."""
    plan = plan_device(inputs(replace(SWEEP, runtimes=(runtime,)), facts=Facts(NOEXEC)))
    reason = f"/home/pi/bf is mounted noexec, and {what} runs there: set state_dir: in the inventory"
    assert set(reasons(plan).values()) == ({reason} if what else set())


@pytest.mark.parametrize(
    ("facts", "runs"),
    [
        ({}, True),
        ({"system_runtimes": {"tflite": ["tflite_runtime"]}}, True),
        ({"system_runtimes": {"tflite": []}}, False),
    ],
)
def test_a_system_runtime_is_excluded_where_the_device_says_that_it_has_none(facts: dict[str, Any], runs: bool) -> None:
    plan = plan_device(inputs(replace(SWEEP, runtimes=(SYSTEM,)), facts=Facts(facts)))
    assert bool(plan.jobs) is runs
    assert set(reasons(plan).values()) == (set() if runs else {"the device has no tflite runtime of its own"})


def test_a_device_that_can_run_nothing_has_an_empty_plan() -> None:
    plan = plan_device(inputs(replace(SWEEP, exclude=({"device": "*"},))))
    assert (plan.jobs, plan.trials, plan.blobs, plan.estimate_s) == ((), (), (), 0.0)
    assert len(plan.excluded) == 8
    assert WorkerPlan.parse(plan.document).trials == []


def test_excluded_cells_send_no_files() -> None:
    plan = plan_device(inputs(replace(SWEEP, exclude=({"variant": "int8"}, {"runtime": NEW.label}))))
    assert sorted(blob.name for blob in plan.blobs) == ["digits-fp32.tflite", "test.npz", "tflite-runtime==2.14.0"]


def test_a_file_that_is_not_what_the_model_says_is_refused() -> None:
    path = MODEL.variants["int8"].artifacts[0].path
    changed = {**inputs().files, path: Blob(sha256("else"), 4, BlobKind.MODEL, "digits-int8.tflite")}
    with pytest.raises(BlobError, match=sha256("else")) as caught:
        plan_device(inputs(files=changed))
    assert sha256(path) in caught.value.message
    assert caught.value.hint == "benchfleet models verify /models/digits"


def test_a_file_or_a_runtime_that_nobody_looked_at_is_refused() -> None:
    with pytest.raises(BlobError, match=r"digits-fp32.tflite: nobody has read"):
        plan_device(inputs(files={}))
    with pytest.raises(BlobError, match="pi-03: nobody resolved tflite-runtime"):
        plan_device(inputs(offers=()))


def test_names_that_the_model_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match="no variant 'int9'") as caught:
        files_needed(replace(SWEEP, variants=("int9",)), MODEL)
    assert caught.value.hint == "did you mean 'int8'?"


@pytest.mark.parametrize(
    ("rule", "settings_", "fits"),
    [
        ({"threads": 2}, {"threads": 2}, True),
        ({"threads": 2}, {"threads": 4}, False),
        ({"threads": "2"}, {"threads": 2}, True),
        ({"threads": "[24]"}, {"threads": 4}, True),
        ({"load": 1}, {"load": 1.0}, True),
        ({"load": 1}, {"load": True}, False),
        ({"check": True}, {"check": True}, True),
        ({"check": "true"}, {"check": True}, True),
        ({"check": True}, {"check": 1}, False),
        ({"cpus": 0}, {"cpus": "0"}, True),
        ({"mode": "f*"}, {"mode": "fast"}, True),
        ({"mode": "F*"}, {"mode": "fast"}, False),
        ({"threads": 2, "mode": "slow"}, {"threads": 2, "mode": "fast"}, False),
    ],
)
def test_a_rule_compares_settings_as_they_are_written(
    rule: dict[str, Setting], settings_: dict[str, Setting], fits: bool
) -> None:
    matrix = {key: (value,) for key, value in settings_.items()}
    sweep = replace(SWEEP, variants=("fp32",), runtimes=(PROGRAM,), matrix=matrix, exclude=(rule,))
    assert bool(plan_device(inputs(sweep)).excluded) is fits
