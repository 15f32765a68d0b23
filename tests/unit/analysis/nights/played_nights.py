"""Play the devices of a night: answer each order with drawn trials, until the night has its verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from orchestrator.analysis.nightly import NIGHTS_MIN
from orchestrator.analysis.nights.stages import advance, looked_at
from orchestrator.analysis.nights.subjects import BaselineSide, Finding, Key, Order, Subject, Terms, Tonight
from orchestrator.domain.night import NightStage

CV = 0.01
TRIALS = 5
ORDERS_MAX = 6

Trials = tuple[float, ...]


@dataclass
class Board:
    """Draws trials. `shift` is how much slower the candidate is, and `device` how much slower the device is tonight."""

    random: np.random.Generator
    shift: Mapping[Key, float] = field(default_factory=dict)
    device: Mapping[Key, float] = field(default_factory=dict)
    silent: Callable[[Order | None, Key], bool] = lambda order, key: False

    def candidate(self, key: Key, count: int) -> Trials:
        return self._draw(self.shift.get(key, 0.0) + self.device.get(key, 0.0), count)

    def baseline(self, key: Key, count: int) -> Trials:
        return self._draw(self.device.get(key, 0.0), count)

    def _draw(self, level: float, count: int) -> Trials:
        return tuple(self.random.normal(level, CV, count).tolist())


def play(
    subjects: Sequence[Subject], board: Board, terms: Terms | None = None
) -> tuple[list[Order], Mapping[Key, Finding]]:
    """Take a night to its end. Return the orders given, and the verdicts."""
    terms = terms or Terms()
    first = {one.key: board.candidate(one.key, TRIALS) for one in subjects if not board.silent(None, one.key)}
    tonight, orders = Tonight(first), []
    while isinstance(step := advance(looked_at(subjects, tonight), tonight, terms), Order):
        # A night that is cut off here asks again, and must hear the same.
        assert advance(looked_at(subjects, tonight), tonight, terms) == step
        orders.append(step)
        assert len(orders) <= ORDERS_MAX
        tonight = answer(subjects, tonight, step, board)
    return orders, step


def answer(subjects: Sequence[Subject], tonight: Tonight, order: Order, board: Board) -> Tonight:
    """Return what is known once an order has been carried out."""
    keys = [one.key for one in subjects if one.key.cell in order.cells and not board.silent(order, one.key)]
    if order.stage is NightStage.SECOND_LOOK:
        return replace(tonight, second={key: board.candidate(key, order.trials) for key in keys})
    assert order.look == len(tonight.looks)
    both = {key: (board.baseline(key, order.trials), board.candidate(key, order.trials)) for key in keys}
    return replace(tonight, looks=(*tonight.looks, both))


def a_subject(random: np.random.Generator, number: int = 0, *, nights: int = 30, **fields: object) -> Subject:
    """Return a cell with so many nights of history, and another build tonight than on the night before."""
    history = random.normal(0, CV / math.sqrt(TRIALS), nights)
    variances = CV**2 * random.chisquare(TRIALS - 1, nights) / (TRIALS - 1)
    trials = tuple(random.normal(0, CV, TRIALS).tolist())
    subject = Subject(
        Key("pi-03", f"cell-{number}", "latency_ns"),
        worse=1,
        min_effect=0.01,
        history=tuple(history.tolist()),
        variances=tuple(variances.tolist()),
        freedoms=(TRIALS - 1.0,) * nights,
        baseline=BaselineSide("20261128-020000-1a2b", "digits-20261128", trials, identical=False),
    )
    return replace(subject, **fields)  # type: ignore[arg-type]


def with_identical_bytes(subject: Subject, environment: str | None = None) -> Subject:
    """Return the cell with the bytes of its baseline."""
    assert subject.baseline is not None
    return replace(subject, baseline=replace(subject.baseline, identical=True), environment=environment)


HISTORIES = (0, 3, NIGHTS_MIN, 30)
