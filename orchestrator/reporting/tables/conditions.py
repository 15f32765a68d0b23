"""Say in words what the conditions of a run came to."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.condition import ConditionUse


def breaches(use: ConditionUse) -> str:
    """Return how many attempts broke which condition."""
    return ", ".join(f"{count} {word}" for word, count in use.breaches.items())


def condition_lines(use: ConditionUse) -> Iterator[str]:
    """Yield what the conditions of a device came to, each followed by what to do about it."""
    if use.invalid:
        verb, number = ("does", "attempt") if use.invalid == 1 else ("do", "attempts")
        yield f"{use.device}: {use.invalid} {number} broke a condition and {verb} not count ({breaches(use)})"
        if use.was_busy:
            yield f"hint: {use.device} was busy with other work: end that, and measure again what is missing"
        if use.limits:
            off = ", ".join(f"{limit}: null" for limit in use.limits)
            yield "hint: this line in a sweep lets such trials count, and a number in place of null allows more:"
            yield f"  limits: {{{off}}}"
    if use.unjudged:
        reasons = ", ".join(f"{reading} ({reason})" for reading, reason in use.unjudged.items())
        yield f"{use.device}: nothing could judge {reasons}"
