"""Reservations: made, waited for, given back, and by whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.duration import parse_duration_s
from orchestrator.domain.errors import ConfigError, DeviceReserved
from orchestrator.domain.facts import Facts
from orchestrator.domain.lease import Busy, Lease, LeaseRequest
from orchestrator.driving.identity import ControllerIdentity, this_controller
from orchestrator.services.devices.reserve import release_device, require_reservation, reserve_device
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import (
    FACTS,
    STARTED_AT,
    sample_device,
    sample_header,
    sample_model,
    sample_sweep,
    save_snapshot,
)

PI, TWIN = sample_device("pi-03"), sample_device("pi-04")
ANN, BOB = ControllerIdentity("ann@ws1", "pid 1"), ControllerIdentity("bob@ws2", "pid 2")


def reserve(store: Store, identity: ControllerIdentity, reason: str = "bisecting") -> Lease:
    return reserve_device(PI, 3600.0, reason, identity, store.leases, on_wait=_never, pause=_never)


def _never(argument: object) -> None:
    raise AssertionError(f"nobody waits here: {argument}")


def test_a_device_is_reserved_and_given_back(store: Store) -> None:
    lease = reserve(store, ANN)
    assert (lease.holder, lease.run, lease.reason) == ("ann@ws1", None, "bisecting")
    assert release_device("pi-03", ANN, store.leases).id == lease.id
    assert store.leases.holdings(["pi-03"]) == {}


def test_a_second_reservation_is_refused_and_names_the_first(store: Store) -> None:
    reserve(store, ANN)
    with pytest.raises(DeviceReserved, match=r"pi-03: reserved by ann@ws1 until .* UTC \(bisecting\)") as refused:
        reserve(store, BOB)
    assert "--wait" in (refused.value.hint or "")
    assert "have ann@ws1 type benchfleet devices release pi-03" in (refused.value.hint or "")


def test_whoever_has_reserved_a_device_already_is_told_how_to_give_it_back(store: Store) -> None:
    reserve(store, ANN)
    with pytest.raises(DeviceReserved) as refused:
        reserve(store, ANN, "once more")
    assert (refused.value.hint or "").startswith("it is yours: benchfleet devices release pi-03")


def test_a_run_that_holds_a_device_is_named_with_how_to_collect_it(store: Store) -> None:
    store.runs.create_run(sample_header("run-1", sample_sweep(), sample_model()), sample_model(), [PI])
    store.leases.request_leases([PI], LeaseRequest("bob@ws2", "pid 2", "run-1", None, 60.0))
    with pytest.raises(DeviceReserved, match="in use by run run-1 of bob@ws2") as refused:
        reserve(store, ANN)
    assert "benchfleet runs follow run-1" in (refused.value.hint or "")


def test_whoever_waits_is_told_once_and_gets_it_when_it_is_released(store: Store) -> None:
    first = reserve(store, ANN)
    told: list[Busy] = []
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            store.leases.end_leases([first.id])

    waiting = replace(BOB, waits=True)
    lease = reserve_device(PI, 3600.0, "next", waiting, store.leases, on_wait=told.append, pause=pause)
    assert lease.holder == "bob@ws2"
    assert [busy.held[0].holder for busy in told] == ["ann@ws1"]
    assert len(pauses) == 3
    assert lease.granted_at is not None
    assert (lease.expires_at - lease.granted_at).total_seconds() == 3600.0  # and not from the beginning of the wait
    assert store.leases.holdings(["pi-03"])["pi-03"].queue == 0


def test_an_interrupted_wait_leaves_no_place_behind(store: Store) -> None:
    reserve(store, ANN)

    def interrupt(seconds: float) -> None:
        assert store.leases.holdings(["pi-03"])["pi-03"].queue == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reserve_device(
            PI, 60.0, "x", replace(BOB, waits=True), store.leases, on_wait=lambda busy: None, pause=interrupt
        )
    assert store.leases.holdings(["pi-03"])["pi-03"].queue == 0


def test_a_reservation_is_released_by_its_holder_or_by_its_id(store: Store) -> None:
    lease = reserve(store, ANN)
    with pytest.raises(DeviceReserved, match="reserved by ann@ws1, not by bob@ws2"):
        release_device("pi-03", BOB, store.leases)
    for somebody in (ANN, BOB):
        with pytest.raises(ConfigError, match=f"there is no reservation {lease.id + 1} of pi-03"):
            release_device("pi-03", replace(somebody, reservation=lease.id + 1), store.leases)
    assert release_device("pi-03", replace(BOB, reservation=lease.id), store.leases).id == lease.id
    with pytest.raises(ConfigError, match="pi-03: nobody has reserved it"):
        release_device("pi-03", ANN, store.leases)


def test_a_run_names_a_reservation_that_there_is(store: Store) -> None:
    lease = reserve(store, ANN)
    require_reservation(BOB, ["pi-03"], store.leases)
    require_reservation(replace(BOB, reservation=lease.id), ["pi-03", "pi-04"], store.leases)
    for device, wrong in (("pi-03", lease.id + 1), ("pi-04", lease.id)):
        with pytest.raises(ConfigError, match=f"there is no reservation {wrong} of {device}"):
            require_reservation(replace(BOB, reservation=wrong), [device], store.leases)


def test_a_reservation_of_the_machine_under_another_name_may_be_used_and_is_released_by_that_name(store: Store) -> None:
    for device in (PI, TWIN):
        save_snapshot(store, device, Facts({**FACTS, "boot_id": "boot-1"}), STARTED_AT)
    lease = reserve(store, ANN)
    with pytest.raises(DeviceReserved, match="the same machine as pi-03, which is reserved by ann@ws1") as busy:
        reserve_device(TWIN, 60.0, "x", BOB, store.leases, on_wait=_never, pause=_never)
    assert (busy.value.hint or "").endswith(
        "if another board has the name pi-04 by now: benchfleet devices probe pi-04"
    )
    require_reservation(replace(BOB, reservation=lease.id), ["pi-04"], store.leases)
    with pytest.raises(ConfigError, match="nobody has reserved it by this name, but its machine as pi-03") as refused:
        release_device("pi-04", ANN, store.leases)
    assert refused.value.hint == "benchfleet devices release pi-03"


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "x" * 201, "\x1b[31m"])
def test_a_reason_is_one_line(store: Store, reason: str) -> None:
    with pytest.raises(ConfigError, match="--reason"):
        reserve(store, ANN, reason)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), (" 1.5H ", 5400), ("366d", 31622400)]
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration_s(text, "--for") == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "0s", "-1h", "2 h", "1w", "1e3s", "nan", "٣h", "2h30m"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="--for: not a duration") as refused:
        parse_duration_s(text, "--for")
    assert "90s, 30m, 1.5h or 1d" in (refused.value.hint or "")


def test_a_duration_of_more_than_a_year_is_too_long(store: Store) -> None:
    with pytest.raises(ConfigError, match="--for: too long: '367d'"):
        parse_duration_s("367d", "--for")


def test_this_controller_is_a_user_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "an\nn")
    identity = this_controller()
    assert identity.holder.startswith("an?n@")
    assert identity.controller.startswith("pid ")
