"""Tell machines by facts: devices of the same machine, and a device on another machine than before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.domain.device import Device
from orchestrator.domain.facts import IDENTITY_KEYS, Facts
from orchestrator.domain.health import Concern

_MEMORY_PART_MIN = 0.05
"""A kernel's upgrade changes the memory that the kernel leaves to others, by less than this part."""
_SHOWN_CHARACTERS_MAX = 60


def names_in_turn(devices: Sequence[Device], facts: Mapping[str, Facts]) -> tuple[tuple[str, ...], ...]:
    """Return the names of each machine with several names, in the order of the turns.

    A machine without an exclusive name is left out: the names are in use together. So are devices without facts.
    """
    machines: dict[str, list[Device]] = {}
    for device in devices:
        machine = facts[device.name].machine if device.name in facts else None
        if machine is not None:
            machines.setdefault(machine, []).append(device)
    return tuple(
        tuple(device.name for device in found)
        for found in machines.values()
        if len(found) > 1 and any(device.exclusive for device in found)
    )


def find_exchange(before: Facts, now: Facts) -> Concern | None:
    """Return a concern if a device shows other hardware than before, and None if all hardware may be the same.

    A board in the place of its like cannot be told from a reboot.
    """
    # The same boot: no board was exchanged in a machine that has run on.
    if before.machine == now.machine:
        return None
    changes = [
        f"{key.replace('_', ' ')} {_shown(before.values.get(key))} before, {_shown(now.values.get(key))} now"
        for key in IDENTITY_KEYS
        if _differs(key, before.values.get(key), now.values.get(key))
    ]
    if not changes:
        return None
    hint = "a board in the place of another one needs a name of its own, or the figures of both are one series"
    return Concern(f"other hardware than before: {'; '.join(changes)}", hint)


def _differs(key: str, before: object, now: object) -> bool:
    # A fact that one worker does not know says nothing of the other's.
    if before is None or now is None or before == now:
        return False
    if key == "memory_bytes" and isinstance(before, int) and isinstance(now, int):
        return abs(now - before) > _MEMORY_PART_MIN * max(abs(before), 1)
    return True


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[: _SHOWN_CHARACTERS_MAX - 1] + "…"
