"""Which facts are a concern, and which keep a device from measuring: one row each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.domain.device import Limits
from orchestrator.domain.facts import Facts
from orchestrator.domain.health import clock_offset_s, judge_health

GIB = 1 << 30
SOUND: Mapping[str, Any] = {
    "state_dir": "/home/pi/.cache/benchfleet",
    "disk_free_bytes": 20 * GIB,
    "temperature_c": 48.0,
    "throttled": False,
    "login_kills_processes": False,
    "clock_offset_s": 0.4,
    "health": {
        "file_system": "ext4",
        "read_only": False,
        "files_free": 100_000,
        "holder": None,
        "previous_crash": None,
        "leftover_processes": 0,
        "survivors": [],
        "damaged_logs": [],
        "in_login_session": True,
        "login_lingers": None,
        "state_dir_refused": None,
    },
}
NETWORK = {"message": "/home/pi is on a network file system (nfs4)", "hint": "set state_dir: in the inventory"}
KILLS = {"login_kills_processes": True}
CRASH = {"run": "20260101-a", "since_unix": 1_767_225_600, "rebooted": False}

WARNINGS: Mapping[str, tuple[Mapping[str, Any], Limits, str]] = {
    "little room": ({"disk_free_bytes": 60_000_000}, Limits(), "only 60.0 MB are free"),
    "few files": ({"health": {"files_free": 12}}, Limits(), "only 12 more files fit"),
    "clock ahead": ({"clock_offset_s": 61.0}, Limits(), "at least 61.0 s ahead"),
    "clock behind": ({"clock_offset_s": -7200.0}, Limits(), "at least 7200.0 s behind"),
    "hot": ({"temperature_c": 75.5}, Limits(temperature_c_max=75.0), "75.5 °C"),
    "throttled": ({"throttled": True}, Limits(), "held back"),
    "loaded": (
        {"load_1m": 21.3, "cpu_count": 2},
        Limits(),
        "load is 21.3 on 2 processors",
    ),
    "hanging": (
        {"unknown": {"governor": "no answer within 3 s"}},
        Limits(),
        "governor is unknown: no answer within 3 s",
    ),
    "lingers": ({**KILLS, "health": {"login_lingers": True}}, Limits(), "moved to the user's service manager"),
    "busy": ({"health": {"holder": CRASH}}, Limits(), "20260101-a is measuring there since 2026-01-01 00:00 UTC"),
    "killed": ({"health": {"previous_crash": CRASH}}, Limits(), "broke off: its runner was killed"),
    "restarted": ({"health": {"previous_crash": {**CRASH, "rebooted": True}}}, Limits(), "the device was restarted"),
    "leftovers": ({"health": {"leftover_processes": 3}}, Limits(), "3 processes that a killed runner left"),
    "survivor": (
        {"health": {"leftover_processes": 1, "survivors": [{"pid": 4711, "user": "root", "command": "stress 1"}]}},
        Limits(),
        "process 4711 of root (stress 1), left by a trial, still runs there",
    ),
    "damaged": ({"health": {"damaged_logs": ["run-1"]}}, Limits(), "set aside as damaged there, of run-1"),
    "noexec": ({"health": {"noexec": True}}, Limits(), "is on a file system mounted noexec"),
    "a sensor left out": ({"discarded": {"temperature_c": "zone0 says 255 °C"}}, Limits(), "zone0 says 255 °C"),
}
REFUSALS: Mapping[str, tuple[Mapping[str, Any], Limits, str]] = {
    "read-only": ({"health": {"read_only": True}}, Limits(), "can only be read"),
    "network": ({"health": {"state_dir_refused": NETWORK}}, Limits(), "on a network file system (nfs4)"),
    "room": ({"disk_free_bytes": GIB}, Limits(disk_free_bytes_min=2 * GIB), "disk_free_bytes_min is 2147.5 MB"),
    "clock": ({"clock_offset_s": -3.0}, Limits(clock_offset_s_max=2.0), "clock_offset_s_max is 2 s"),
    "logout": ({**KILLS, "health": {"login_lingers": False}}, Limits(), "a logout ends the user's processes"),
    "logout, unknown lingering": (KILLS, Limits(), "a logout ends the user's processes"),
}
NOTHING: Mapping[str, tuple[Mapping[str, Any], Limits]] = {
    "sound": ({}, Limits()),
    "enough room": ({"disk_free_bytes": 2 * GIB}, Limits(disk_free_bytes_min=2 * GIB)),
    "little room that the inventory allows": ({"disk_free_bytes": 65 << 20}, Limits(disk_free_bytes_min=1 << 20)),
    "a clock within the limit": ({"clock_offset_s": 120.0}, Limits(clock_offset_s_max=300.0)),
    "all processors at work": ({"load_1m": 2.9, "cpu_count": 2}, Limits()),
    "a load of processors that the worker may not use": (
        {"load_1m": 7.0, "cpu_count": 2, "cpu_count_online": 8},
        Limits(),
    ),
    "hot without a limit": ({"temperature_c": 95.0}, Limits()),
    "a logout that does not reach the worker": ({**KILLS, "health": {"in_login_session": False}}, Limits()),
    "a device that says nothing": (dict.fromkeys(SOUND), Limits(disk_free_bytes_min=1, clock_offset_s_max=1.0)),
    "an older worker": ({"health": None}, Limits()),
    "nonsense": (
        {
            "disk_free_bytes": "much",
            "clock_offset_s": math.nan,
            "temperature_c": True,
            "throttled": "yes",
            "unknown": ["governor"],
            "discarded": ["temperature_c"],
            "health": {
                "files_free": [],
                "holder": "me",
                "previous_crash": 7,
                "damaged_logs": {},
                "read_only": "no",
                "noexec": "yes",
                "survivors": [7],
            },
        },
        Limits(disk_free_bytes_min=1, clock_offset_s_max=1.0, temperature_c_max=0.5),
    ),
}


def facts(change: Mapping[str, Any]) -> Facts:
    values = {**SOUND, **change}
    if isinstance(change.get("health"), Mapping):
        values["health"] = {**SOUND["health"], **change["health"]}
    return Facts(values)


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_worth_a_warning(name: str) -> None:
    change, limits, words = WARNINGS[name]
    (concern,) = judge_health(facts(change), limits)
    assert words in concern.message
    assert not concern.is_refusal


@pytest.mark.parametrize("name", REFUSALS)
def test_what_keeps_a_device_from_measuring(name: str) -> None:
    change, limits, words = REFUSALS[name]
    (concern,) = judge_health(facts(change), limits)
    assert words in concern.message
    assert concern.is_refusal
    assert concern.hint


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_no_concern(name: str) -> None:
    change, limits = NOTHING[name]
    assert judge_health(facts(change), limits) == ()


def test_refusals_come_first() -> None:
    found = judge_health(facts({"throttled": True, "health": {"read_only": True, "files_free": 3}}), Limits())
    assert [concern.is_refusal for concern in found] == [True, False, False]


@pytest.mark.parametrize(
    ("device", "asked", "answered", "offset"),
    [(150, 100, 200, 0.0), (100, 100, 200, 0.0), (200, 100, 200, 0.0), (90, 100, 200, -10e-9), (230, 100, 200, 30e-9)],
)
def test_a_clock_is_off_by_no_more_than_can_be_known(device: int, asked: int, answered: int, offset: float) -> None:
    assert clock_offset_s(device, asked, answered) == offset


@pytest.mark.parametrize("said", [None, "now", True, 1.5])
def test_a_device_without_a_clock_has_no_offset(said: object) -> None:
    assert clock_offset_s(said, 100, 200) is None


@pytest.mark.parametrize(
    ("gpus", "gpu", "words"),
    [
        (["H100", "T4"], 2, "there is none of that number (there are 0: H100, 1: T4)"),
        ([], 0, "(there are none)"),
        (None, 0, "nvidia-smi, which lists them, is missing or fails there"),
        ("H100", 0, "nvidia-smi"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(gpus: object, gpu: int, words: str) -> None:
    (concern,) = judge_health(facts({"gpus": gpus}), Limits(), gpu)
    assert concern.is_refusal
    assert words in concern.message


@pytest.mark.parametrize("gpu", [None, 0, 1])
def test_a_gpu_that_is_there_is_no_concern(gpu: int | None) -> None:
    assert judge_health(facts({"gpus": ["H100", "T4"]}), Limits(), gpu) == ()
