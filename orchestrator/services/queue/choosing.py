"""Choose the submission that a daemon carries out next, by the daemon's own inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.need import Need, choose, need_of
from orchestrator.domain.queue_order import Standing, in_order, is_due, more_urgent, startable
from orchestrator.domain.submission import Claim, Submission, SubmissionState
from orchestrator.services.devices.needed import candidates

if TYPE_CHECKING:
    from orchestrator.domain.inventory import Inventory
    from orchestrator.services.queue.heart import Heart
    from orchestrator.store.base import Roles


@dataclass(frozen=True, slots=True)
class Choice:
    """Hold what a daemon finds in the queue. `devices` has the devices of each open submission that can run here."""

    submissions: Sequence[Submission]
    devices: Mapping[int, tuple[str, ...]]
    standing: Standing

    @property
    def concerned(self) -> frozenset[str]:
        """Return the devices that submissions wait for, or run on."""
        return frozenset(name for one in self._open for name in self.devices[one.id])

    @property
    def _open(self) -> Sequence[Submission]:
        return [
            one
            for one in self.submissions
            if (names := self.devices[one.id])
            and (one.state is SubmissionState.RUNNING or is_due(one, names, self.standing))
        ]


def read_queue(heart: Heart, store: Roles) -> Choice:
    """Read the queue by a daemon's inventory and windows, and note the devices of submissions that nobody knew."""
    inventory, windows = heart.inventory, heart.windows
    submissions = [_seen_by(heart.daemon, one) for one in store.submissions.open_submissions()]
    known: dict[str, tuple[str, ...]] = {}
    for one in submissions:
        if one.select not in known:
            known[one.select] = _selected(one.select, inventory)
    names = sorted({name for found in known.values() for name in found})
    standing = Standing(
        store.daemons.now(),
        store.daemons.shares(),
        store.leases.holdings(names) if names else {},
        store.recovery.quarantines(names) if names else {},
        {one.name: one for one in windows},
    )
    named = {one.id: known[one.select] for one in submissions if need_of(one.settings) is None}
    devices = _with_needs(submissions, named, inventory, standing, store)
    _note_devices(heart.daemon, submissions, devices, store)
    return Choice(submissions, devices, standing)


def _with_needs(
    submissions: Sequence[Submission],
    named: Mapping[int, tuple[str, ...]],
    inventory: Inventory,
    standing: Standing,
    store: Roles,
) -> Mapping[int, tuple[str, ...]]:
    """Return the devices of all submissions: also those that are chosen now for submissions with a need.

    In the order of the queue, so that no two choose the same device while another one would do.
    """
    if len(named) == len(submissions):
        return named
    used = store.submissions.last_used(list(inventory.devices))
    devices, taken = dict(named), set[str]()
    for one in in_order(submissions, standing):
        need = need_of(one.settings)
        if need is not None:
            found = candidates(
                need, inventory, standing.holdings, unfit=standing.quarantines, used=used, holder=one.holder
            )
            kept = _kept(one, need, inventory)
            devices[one.id] = choose(need, found, taken) if kept is None else kept
        if one.state is SubmissionState.RUNNING or is_due(one, devices[one.id], standing):
            taken.update(devices[one.id])
    return devices


def _kept(one: Submission, need: Need, inventory: Inventory) -> tuple[str, ...] | None:
    """Return the devices that an earlier claim has chosen, None before: a run goes on where it began.

    There are none for a daemon whose inventory lacks one of them.
    """
    names = tuple(one.device_s or ())
    if one.claim == 0 or len(names) != need.count:
        return None
    return names if all(name in inventory.devices for name in names) else ()


def claim_next(choice: Choice, daemon: int, store: Roles) -> tuple[Submission, Claim] | None:
    """Claim the first submission that may begin now, or return None. Others may be quicker."""
    for one in startable(choice.submissions, choice.devices, choice.standing):
        claim = store.daemons.claim(one.id, one.claim, daemon)
        if claim is not None:
            # As chosen: what the database has may be the choice of another daemon by now.
            chosen = {name: (one.device_s or {}).get(name) for name in choice.devices[one.id]}
            return replace(one, device_s=chosen), claim
    return None


def give_way(heart: Heart, store: Roles) -> None:
    """Have the run of a daemon give way if it may, and a more urgent one could begin at once on its devices."""
    own = heart.preemptible
    if own is None or not heart.keeps_on():
        return
    choice = read_queue(heart, store)
    urgent = more_urgent(own, choice.submissions, choice.devices, choice.standing)
    if urgent is not None:
        heart.give_way(own, urgent.run)


def _seen_by(daemon: int, one: Submission) -> Submission:
    """Return a submission as a daemon sees it that looks for work: one of its own claims was left behind.

    The database went away in the middle of the run. The daemon lives, so that no other one takes the run up.
    """
    return replace(one, is_claimed=False) if one.is_claimed and one.daemon_id == daemon else one


def _selected(select: str, inventory: Inventory) -> tuple[str, ...]:
    try:
        return tuple(device.name for device in inventory.select(select))
    except ConfigError:
        # Another daemon may have such devices.
        return ()


def _note_devices(
    daemon: int, submissions: Sequence[Submission], devices: Mapping[int, tuple[str, ...]], store: Roles
) -> None:
    """Record the devices where the submitter had none, or others. Times there are unknown.

    Those of a submission that runs are on record by the daemon that has claimed it.
    """
    others = [
        one
        for one in submissions
        if one.state is not SubmissionState.RUNNING
        and devices[one.id]
        and set(one.device_s or ()) != set(devices[one.id])
    ]
    if not others:
        return
    # Daemons of different inventories would each write over the note of the other for ever: the eldest is believed.
    elder = [set(one.devices) for one in takewhile(lambda one: one.id != daemon, store.daemons.live_daemons())]
    store.submissions.expect(
        {
            one.id: {name: (one.device_s or {}).get(name) for name in devices[one.id]}
            for one in others
            if not one.device_s or not any(known.issuperset(one.device_s) for known in elder)
        }
    )
