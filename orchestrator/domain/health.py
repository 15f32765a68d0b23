"""Judge by a device's facts whether the device may measure now, and list concerns.

A device beyond a limit of the inventory is refused. Without such a limit a concern is a warning at most. Two states are
refused in any case, because no run could succeed: a read-only disk, and a logout policy which ends runners.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator.domain.device import Limits
from orchestrator.domain.facts import Facts
from orchestrator.domain.moments import noted

CLOCK_OFFSET_KEY = "clock_offset_s"
"""A fact added by the controller: the certain part of the clock's error, in seconds, positive for a clock ahead."""

DISK_FREE_BYTES_WORRYING = 64 << 20
FILES_FREE_WORRYING = 1000
LOAD_PER_PROCESSOR_WORRYING = 1.5
"""More than the last run's own threads leave behind in the mean of a minute."""
CLOCK_OFFSET_S_WORRYING = 60.0

_ROOM_HINT = "benchfleet devices clean, or free space on the device"
_CLOCK_HINT = "which of the two clocks is wrong? timedatectl tells, on the device and on this machine; set that one"
_DAMAGE_HINT = "did it lose power while it wrote, or does its disk fail? check the kernel's log"
_SURVIVORS_MAX = 3
_SENSORS_MAX = 5
_GPUS_TOLD_MAX = 16
_LINGER_HINT = "loginctl enable-linger USER on the device, or KillUserProcesses=no in its /etc/systemd/logind.conf"


@dataclass(frozen=True, slots=True)
class Concern:
    """Tell a person about a device's state. With `is_refusal` the device must not measure."""

    message: str
    hint: str | None = None
    is_refusal: bool = False


def judge_health(facts: Facts, limits: Limits, gpu: int | None = None) -> tuple[Concern, ...]:
    """Return the concerns about a device, refusals first. An unknown fact is no concern.

    `gpu` is the one GPU that the inventory asks for.
    """
    values = facts.values
    said = values.get("health")
    health = said if isinstance(said, Mapping) else {}
    concerns = [
        *_of_gpu(values, gpu),
        *_of_disk(values, health, limits),
        *_of_clock(values, limits),
        *_of_heat(values, limits),
        *_of_load(values),
        *_of_sensors(values),
        *_of_login(values, health),
        *_of_last_run(health),
    ]
    # The sort is stable: among equals the order above stays.
    return tuple(sorted(concerns, key=lambda concern: not concern.is_refusal))


def clock_offset_s(device_unix_ns: object, asked_unix_ns: int, answered_unix_ns: int) -> float | None:
    """Return the certain part of a device clock's error in seconds, 0.0 if the clock may be right.

    The device read the clock at some moment between `asked_unix_ns` and `answered_unix_ns` of the controller's clock.
    Return None if the device's time is not a number.
    """
    if not isinstance(device_unix_ns, int) or isinstance(device_unix_ns, bool):
        return None
    # The clock was read somewhere in between: only what lies outside of the interval is an error for certain.
    late, early = device_unix_ns - answered_unix_ns, device_unix_ns - asked_unix_ns
    return (late if late > 0 else min(early, 0)) / 1e9


def _of_disk(values: Mapping[str, Any], health: Mapping[str, Any], limits: Limits) -> Iterator[Concern]:
    state_dir, refused = values.get("state_dir"), health.get("state_dir_refused")
    if isinstance(refused, Mapping):
        hint = refused.get("hint")
        yield Concern(str(refused.get("message")), None if hint is None else str(hint), True)
    if health.get("read_only") is True:
        yield Concern(
            f"{state_dir} can only be read",
            "is it meant to be? else check the disk and remount it; or set another state_dir",
            True,
        )
    if health.get("noexec") is True:
        # No refusal: runtimes and programs of the device's own run all the same. The plan leaves the rest out.
        yield Concern(
            f"{state_dir} is on a file system mounted noexec: no bundle and no program of a sweep can run there",
            "set state_dir: in the inventory to a folder on another file system, or remount this one exec",
        )
    free, least = _number(values.get("disk_free_bytes")), limits.disk_free_bytes_min
    if free is not None and least is not None and free < least:
        message = f"{_mb(free)} MB are free in {state_dir}, and disk_free_bytes_min is {_mb(least)} MB"
        yield Concern(message, _ROOM_HINT, True)
    elif free is not None and free < DISK_FREE_BYTES_WORRYING:
        yield Concern(f"only {_mb(free)} MB are free in {state_dir}", _ROOM_HINT)
    files = _number(health.get("files_free"))
    if files is not None and files < FILES_FREE_WORRYING:
        yield Concern(f"only {files:.0f} more files fit on the disk of {state_dir}", _ROOM_HINT)


def _of_gpu(values: Mapping[str, Any], gpu: int | None) -> Iterator[Concern]:
    if gpu is None:
        return
    said = values.get("gpus")
    if not isinstance(said, list):
        # A trial that sees no GPU runs on the processor, and its figures would be taken for those of the GPU.
        words = f"the inventory asks for GPU {gpu}, and nvidia-smi, which lists them, is missing or fails there"
        yield Concern(words, "nvidia-smi -L on the device", True)
    elif gpu >= len(said):
        found = ", ".join(f"{number}: {name}" for number, name in enumerate(said[:_GPUS_TOLD_MAX])) or "none"
        yield Concern(
            f"the inventory asks for GPU {gpu}, and there is none of that number (there are {found})",
            "correct gpu: in the inventory; nvidia-smi -L on the device counts from 0",
            True,
        )


def _of_clock(values: Mapping[str, Any], limits: Limits) -> Iterator[Concern]:
    offset_s = _number(values.get(CLOCK_OFFSET_KEY))
    if offset_s is None:
        return
    way = "ahead" if offset_s > 0 else "behind"
    message = f"its clock is at least {abs(offset_s):.1f} s {way} of the controller's"
    # With a limit in the inventory, the limit alone decides.
    if limits.clock_offset_s_max is not None and abs(offset_s) > limits.clock_offset_s_max:
        yield Concern(f"{message}, and clock_offset_s_max is {limits.clock_offset_s_max:g} s", _CLOCK_HINT, True)
    elif limits.clock_offset_s_max is None and abs(offset_s) > CLOCK_OFFSET_S_WORRYING:
        yield Concern(f"{message}; durations do not depend on it, dates in the results do", _CLOCK_HINT)


def _of_heat(values: Mapping[str, Any], limits: Limits) -> Iterator[Concern]:
    temperature, most = _number(values.get("temperature_c")), limits.temperature_c_max
    if temperature is not None and most is not None and temperature > most:
        # No refusal: each trial waits for the device to cool, and a hot device cools while it waits.
        yield Concern(f"it has {temperature:.1f} °C, and temperature_c_max is {most:g} °C: trials wait for it to cool")
    if values.get("throttled") is True:
        yield Concern("its CPU is being held back now, by heat or a weak supply", "check its cooling and its supply")


def _of_load(values: Mapping[str, Any]) -> Iterator[Concern]:
    load = _number(values.get("load_1m"))
    counts = [_number(values.get("cpu_count")), _number(values.get("cpu_count_online"))]
    # The load is that of the whole machine, and this process may not use every processor.
    processors = max((count for count in counts if count is not None), default=None)
    if load is None or not processors or load <= processors * LOAD_PER_PROCESSOR_WORRYING:
        return
    plural = "" if processors == 1 else "s"
    yield Concern(
        f"its load is {load:.1f} on {processors:.0f} processor{plural}: other work takes its time, and trials beside "
        "other work do not count",
        "stop what else runs there, or wait: the load is the mean of a minute",
    )


def _of_sensors(values: Mapping[str, Any]) -> Iterator[Concern]:
    said = values.get("unknown")
    unknown = said if isinstance(said, Mapping) else {}
    for fact in sorted(unknown, key=str)[:_SENSORS_MAX]:
        yield Concern(
            f"{fact} is unknown: {unknown[fact]}", "read the kernel's log on the device; a reboot often helps"
        )
    left_out = values.get("discarded")
    discarded = left_out if isinstance(left_out, Mapping) else {}
    for fact in sorted(discarded, key=str)[:_SENSORS_MAX]:
        yield Concern(
            f"{fact} leaves a sensor out: {discarded[fact]}",
            "does the kernel's driver fit the board? nothing is measured by that sensor",
        )


def _of_login(values: Mapping[str, Any], health: Mapping[str, Any]) -> Iterator[Concern]:
    # A runner outside of any login session, such as under a service, survives the logout.
    if values.get("login_kills_processes") is not True or health.get("in_login_session") is False:
        return
    if health.get("login_lingers") is True:
        yield Concern("a logout ends the user's processes there; runners are moved to the user's service manager")
    else:
        yield Concern("a logout ends the user's processes there, runners too", _LINGER_HINT, True)


def _of_last_run(health: Mapping[str, Any]) -> Iterator[Concern]:
    holder, crash = health.get("holder"), health.get("previous_crash")
    if isinstance(holder, Mapping):
        yield Concern(f"run {holder.get('run')} is measuring there{_since(holder)}")
    if isinstance(crash, Mapping):
        how = "the device was restarted" if crash.get("rebooted") is True else "its runner was killed"
        run = crash.get("run")
        yield Concern(f"run {run}, begun there{_since(crash)}, broke off: {how}", f"benchfleet runs resume {run}")
    survivors = _survivors(health)
    for process in survivors:
        yield Concern(
            f"process {process.get('pid')} of {process.get('user')} ({process.get('command')}), left by a trial, still "
            "runs there; no run can start beside it",
            f"sudo kill -KILL {process.get('pid')} on the device, or reboot the device",
        )
    leftovers = (_number(health.get("leftover_processes")) or 0) - len(survivors)
    if leftovers > 0:
        message = f"{leftovers:.0f} processes that a killed runner left are still running; the next run ends them"
        yield Concern(message, "benchfleet devices clean ends them now")
    damaged = health.get("damaged_logs")
    if isinstance(damaged, list) and damaged:
        shown = ", ".join(str(run) for run in damaged[:3])
        yield Concern(f"logs were set aside as damaged there, of {shown}", _DAMAGE_HINT)


def _survivors(health: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = health.get("survivors")
    processes = found if isinstance(found, list) else []
    return [process for process in processes[:_SURVIVORS_MAX] if isinstance(process, Mapping)]


def _since(holder: Mapping[str, Any]) -> str:
    since = holder.get("since_unix")
    if not isinstance(since, int) or not 0 < since < 1 << 33:  # a date before the year 2242, or nonsense
        return ""
    return f" since {noted(datetime.fromtimestamp(since, UTC))}"


def _number(value: object) -> float | None:
    """Return a device's value as a number, or None unless the value is a finite number of sane size."""
    # `value != value` finds NaN. The bound leaves out nonsense, such as a fake number of 300 digits.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e18:
        return None
    return float(value)


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f}"
