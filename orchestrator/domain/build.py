"""Tell a changed build from a changed device: by the measured bytes, and by the environment around the bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.domain.facts import ENVIRONMENT_KEYS, IDENTITY_KEYS

_KEYS = (*IDENTITY_KEYS, *ENVIRONMENT_KEYS)
# A device may send facts of any length and number, which come to tables and pages.
_TEXT_MAX = 80
_CHANGES_MAX = 40
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Build:
    """Name the bytes behind a trial's value by hash: artifact, runtime (bundle, program and version) and worker."""

    artifact_sha256: str
    runtime_sha256: str
    worker_sha256: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Hold a device's account of hardware and environment at a date, with the hashes of both."""

    identity_hash: str
    environment_hash: str
    facts: Mapping[str, Any]

    @property
    def hashes(self) -> tuple[str, str]:
        """Return both hashes."""
        return self.identity_hash, self.environment_hash


@dataclass(frozen=True, slots=True)
class FactChange:
    """Hold a fact of a device, such as `kernel`, before and after. A value that the device did not say is `unknown`."""

    fact: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class PlannedBuild:
    """Name the bytes that a cell of a run was planned with, by hash. `worker_sha256` is None before there is a plan."""

    device: str
    model: str
    label: str
    artifact_sha256: str
    runtime_sha256: str
    worker_sha256: str | None


def same_bytes(before: Sequence[Build], after: Sequence[Build]) -> bool:
    """Return True if all values of both sides come from a single build. Unknown builds are not the same."""
    return len(before) == 1 and tuple(before) == tuple(after)


def same_environment(before: Sequence[Environment], after: Sequence[Environment]) -> bool:
    """Return True if all values of both sides come from a single environment. Unknown environments are not the same."""
    return len({one.hashes for one in (*before, *after)}) == 1 and bool(before) and bool(after)


def changed_facts(before: Sequence[Environment], after: Sequence[Environment]) -> tuple[FactChange, ...]:
    """Return the facts that differ, of those that the hashes are made of. A side with several environments has all."""
    # Once for all names: a hostile device has thousands.
    old, new = ([dict(_flat(one.facts)) for one in side] for side in (before, after))
    return tuple(
        FactChange(name, _values(old, name), _values(new, name))
        for name in dict.fromkeys(name for facts in (*old, *new) for name in facts)
        if _values(old, name) != _values(new, name)
    )


def environment_difference(before: Sequence[Environment], after: Sequence[Environment]) -> tuple[str, ...]:
    """Return the differing facts, such as `kernel 6.1.21 -> 6.6.31`.

    A side with several environments has the values of all. Hashes differing without a visible fact are shown. Of
    many facts, the last text gives the number of facts left out.
    """
    if same_environment(before, after) or not before or not after:
        return ()
    changes = [f"{one.fact} {one.before} -> {one.after}" for one in changed_facts(before, after)]
    if len(changes) > _CHANGES_MAX:
        return (*changes[:_CHANGES_MAX], f"{len(changes) - _CHANGES_MAX} facts more")
    if changes:
        return tuple(changes)
    if {one.hashes for one in before} == {one.hashes for one in after}:
        return ("the environment changed during each of the two",)
    return (f"environment hash {_hashes(before)} -> {_hashes(after)}",)


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the facts behind the hashes, by name. A nested fact has a name for each part."""
    for key in _KEYS:
        value = facts.get(key)
        if isinstance(value, Mapping):
            yield from ((f"{key}.{name}", _text(part)) for name, part in sorted(value.items()))
        else:
            yield key, _text(value)


def _values(side: Sequence[Mapping[str, str]], name: str) -> str:
    return " and ".join(dict.fromkeys(facts.get(name, UNKNOWN) for facts in side))


def _hashes(side: Sequence[Environment]) -> str:
    return " and ".join(dict.fromkeys(one.environment_hash for one in side))


def _text(value: object) -> str:
    if value is None:
        return UNKNOWN
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"
