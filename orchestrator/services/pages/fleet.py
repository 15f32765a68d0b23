"""Compose the cards of a fleet, and choose among the cards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.device import Device, TransportKind
from orchestrator.domain.errors import ConfigError
from orchestrator.domain.fleet_card import FleetCard
from orchestrator.domain.selector import parse_selector
from orchestrator.services.pages.base import PageReader

NOISE_RUNS = 20
"""Runs in the line of a device's noise: three weeks of nights."""
_TROUBLE = ("quarantined", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """Ask for devices. `select` is an expression as `--select` takes one, `state` a state's word or None for all."""

    select: str = "all"
    state: str | None = None
    sort: str = "attention"


def fleet_cards(request: FleetRequest, reader: PageReader) -> Sequence[FleetCard]:
    """Return the cards of the chosen devices in order. No match is an empty list.

    Raise ConfigError for a wrong expression and for an unknown order.
    """
    if request.sort not in ORDERS:
        raise ConfigError(f"there is no order {request.sort!r}", f"known: {', '.join(ORDERS)}")
    selector = parse_selector(request.select or "all")
    # Not in SQL: globs on tags have to mean here what they mean on the command line.
    known = [one for one in reader.fleet.known_devices() if selector.matches(_device(*one))]
    names = [name for name, _, _ in known]
    asked_at, holdings = reader.fleet.asked_at(), reader.leases.holdings(names)
    quarantines, last, readings = (
        reader.recovery.quarantines(names),
        reader.fleet.last_runs(),
        reader.fleet.last_readings(),
    )
    noise, regressions = reader.fleet.noise(NOISE_RUNS), reader.fleet.standing_regressions()
    cards = [
        FleetCard(
            device=name,
            transport=transport,
            tags=tags,
            facts_at=asked_at.get(name),
            last=last.get(name),
            reading=readings.get(name),
            holding=holdings.get(name),
            quarantine=quarantines.get(name),
            regressions=regressions.get(name, 0),
            noise=noise.get(name, ()),
        )
        for name, transport, tags in known
    ]
    # A state is no column: it follows from quarantine, leases and the last run together.
    chosen = [card for card in cards if request.state in (None, "", card.state)]
    return sorted(chosen, key=ORDERS[request.sort])


def _device(name: str, transport: str, tags: Mapping[str, str]) -> Device:
    """Return a device of the database as selectors know devices."""
    return Device(name=name, transport=TransportKind(transport), tags=dict(tags))


def _attention(card: FleetCard) -> tuple[Any, ...]:
    return (card.state not in _TROUBLE, -card.regressions, card.device)


def _noise(card: FleetCard) -> tuple[Any, ...]:
    return (-card.noise[-1].noise if card.noise else 0.0, card.device)


def _temperature(card: FleetCard) -> tuple[Any, ...]:
    known = card.reading is not None and card.reading.temperature_c is not None
    # A device without a reading comes last, and is not taken for the coldest one.
    return (not known, -(card.reading.temperature_c or 0.0) if card.reading else 0.0, card.device)


ORDERS: Mapping[str, Callable[[FleetCard], tuple[Any, ...]]] = {
    "attention": _attention,
    "name": lambda card: (card.device,),
    "noise": _noise,
    "temperature": _temperature,
    "regressions": lambda card: (-card.regressions, card.device),
}
"""The orders of cards by name. `attention` begins with devices that no run can use, then those with regressions."""
