"""Hold the lines of a transition table, and find the applying line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.driving.stages.events import Event
from orchestrator.driving.stages.orders import Order
from orchestrator.driving.stages.part import DevicePart, Stage

Change = tuple[DevicePart, tuple[Order, ...]]
E = TypeVar("E")
Act = Callable[[DevicePart, E], Change]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a table: in one of `stages`, on `event`, if `when` holds, the part goes `to` another stage.

    `to` is None if the stage stays. `orders` lists every kind of order given by `act`. A `when` of None always holds.
    """

    stages: tuple[Stage, ...]
    event: type[Any]
    when: Callable[[DevicePart, Any], bool] | None
    to: Stage | None
    orders: tuple[type[Order], ...]
    act: Act[Any]


class Table:
    """Keep rules in order. The first applying rule decides."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: list[Rule] = []
        # By stage and event: a run of many devices looks a rule up with every report.
        self._index: dict[tuple[Stage, type[Any]], list[Rule]] = {}
        for rule in rules:
            self._add(rule)

    def rule(
        self,
        event: type[E],
        stages: Collection[Stage],
        to: Stage | None,
        orders: Collection[type[Order]] = (),
        when: Callable[[DevicePart, E], bool] | None = None,
    ) -> Callable[[Act[E]], Act[E]]:
        """Add the decorated function as the table's last rule."""

        def add(act: Act[E]) -> Act[E]:
            self._add(Rule(tuple(stages), event, when, to, tuple(orders), act))
            return act

        return add

    def _add(self, rule: Rule) -> None:
        self._rules.append(rule)
        for stage in rule.stages:
            self._index.setdefault((stage, rule.event), []).append(rule)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def find(self, part: DevicePart, event: Event) -> Rule | None:
        """Return the applying rule. Without a rule the event is no change."""
        for rule in self._index.get((part.stage, type(event)), ()):
            if rule.when is None or rule.when(part, event):
                return rule
        return None
