"""Write docs/driving.md from the rules: `python -m orchestrator.driving.table > docs/driving.md`."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator

from orchestrator.driving.stages.machine import TABLE
from orchestrator.driving.stages.part import WITHOUT_SESSION, Stage
from orchestrator.driving.stages.rules import Rule

HEAD = """\
# What becomes of a device

Written by `python -m orchestrator.driving.table`; a test compares. The rules are in `orchestrator/driving/stages/`.

A driver has one *part* for each device of its run. A part stands in one stage. An *event* (a report of the session, an
answer of the database, a plan that was made) moves the part to another stage and gives *orders*, which the driver
carries out in that sequence. The machine is a pure function: `advance(part, event) -> (part, orders)`.

For an event in a stage the first rule whose condition holds applies. An event that no rule names in a stage changes
nothing. Reports of a session that is not the device's present one never reach the machine. `tell close` does nothing
where the device has no session.

The command decides what a part wants. `run`, `run --detach` and `runs resume` measure: they start runners, and help
devices that fail. `run --detach` leaves a device once its runner lives. `runs follow` and `runs cancel` collect what is
there, and start nothing. "Here" means in the database, "elsewhere" by another command.
"""


def main() -> None:
    """Print the document."""
    sys.stdout.write(document())


def document() -> str:
    """Return docs/driving.md."""
    return "\n".join([HEAD, *_stages(), *_diagram(), *_rules(), *_orders(), *_events()])


def _stages() -> Iterator[str]:
    yield "## Stages\n"
    yield "| stage | meaning | session |"
    yield "|---|---|---|"
    for stage in Stage:
        yield f"| {stage.value} | {stage.meaning} | {'no' if stage in WITHOUT_SESSION else 'yes'} |"
    yield ""


def _diagram() -> Iterator[str]:
    yield "## Diagram\n"
    yield "Where a stage has a session, arrows to `ended` are drawn for `forgetting` alone: the rules name all.\n"
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {Stage.REQUESTING.value}"
    for source, target, events in _arrows():
        yield f"    {source.value} --> {target.value}: {', '.join(events)}"
    yield f"    {Stage.ENDED.value} --> [*]"
    yield "```\n"


def _arrows() -> Iterator[tuple[Stage, Stage, list[str]]]:
    found: dict[tuple[Stage, Stage], list[str]] = {}
    for rule in TABLE:
        for stage in rule.stages:
            if rule.to is None or rule.to is stage:
                continue
            # Nearly every stage can end: those arrows would hide all others.
            hidden = rule.to is Stage.ENDED and stage not in WITHOUT_SESSION and stage is not Stage.FORGETTING
            words = found.setdefault((stage, rule.to), [])
            if _words(rule.event) not in words and not hidden:
                words.append(_words(rule.event))
    for (source, target), events in found.items():
        if events:
            yield source, target, events


def _rules() -> Iterator[str]:
    yield "## Rules\n"
    yield "| event | in stage | if | then | orders |"
    yield "|---|---|---|---|---|"
    # By event, since rules of one event compete in this very order.
    for event in dict.fromkeys(rule.event for rule in TABLE):
        for rule in TABLE:
            if rule.event is event:
                yield f"| {' | '.join(_cells(rule))} |"
    yield ""


def _cells(rule: Rule) -> tuple[str, ...]:
    stages = "any" if rule.stages == tuple(Stage) else ", ".join(stage.value for stage in rule.stages)
    orders = ", ".join(dict.fromkeys(_words(order) for order in rule.orders))
    then = "(stays)" if rule.to is None else rule.to.value
    return _words(rule.event), stages, _condition(rule), then, orders or "–"


def _condition(rule: Rule) -> str:
    if rule.when is None:
        return "–"
    # The docstring of a condition is its line in the document: the two cannot come apart.
    return _sentence(rule.when).removeprefix("Say whether ").rstrip(".")


def _orders() -> Iterator[str]:
    kinds = sorted({order for rule in TABLE for order in rule.orders}, key=_words)
    yield "## Orders\n"
    yield "An order that the database refuses, since the lease is lost, ends the sequence: *lease taken* follows.\n"
    yield "| order | what the driver does |"
    yield "|---|---|"
    for order in kinds:
        yield f"| {_words(order)} | {_sentence(order)} |"
    yield ""


def _events() -> Iterator[str]:
    yield "## Events\n"
    yield "| event | what has happened |"
    yield "|---|---|"
    for event in sorted({rule.event for rule in TABLE}, key=_words):
        yield f"| {_words(event)} | {_sentence(event)} |"
    yield ""


def _sentence(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _words(kind: type[object]) -> str:
    """Return a class name as words: `LeaseGranted` is "lease granted"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()


if __name__ == "__main__":
    main()
