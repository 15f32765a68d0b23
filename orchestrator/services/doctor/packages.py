"""Compare the installed packages with those that this release asks for."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from orchestrator import __version__
from orchestrator.domain.checkup import Finding, Health

NAME = "benchfleet"
_REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*\(?(?P<bounds>[^;)]*)\)?\s*"
    r"(?:;.*extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"].*)?"
)
_BOUND = re.compile(r"(>=|<=|==|<|>)\s*([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """Hold a package that a release asks for, with its bounds as text. `extra` is None for what everybody needs."""

    name: str
    bounds: str
    extra: str | None

    def admits(self, found: str) -> bool:
        """Say whether an installed version is within the bounds."""
        return all(_holds(_numbers(found), sign, _numbers(bound)) for sign, bound in _BOUND.findall(self.bounds))


def check_packages(extras: Collection[str], needed: Sequence[str] | None = None) -> Iterator[Finding]:
    """Yield what is wrong with Python and packages. `extras` are those that the settings need.

    `needed` are the requirements as package metadata writes them; without them, those of this release.
    """
    yield Finding("python", Health.FINE, f"benchfleet {__version__}, Python {platform.python_version()}")
    try:
        found = requires(NAME) if needed is None else needed
    except PackageNotFoundError:
        words = "benchfleet runs from a folder that is not installed: its packages cannot be compared"
        yield Finding("packages", Health.ADVICE, words, "pip install .")
        return
    wanted = [one for one in map(read_requirement, found or ()) if one.extra is None or one.extra in extras]
    lacking = [(one, lack) for one in wanted if (lack := _lack(one)) is not None]
    for one, lack in lacking:
        what = NAME if one.extra is None else f'"{NAME}[{one.extra}]"'
        yield Finding("packages", Health.WRONG, lack, f"pip install --upgrade {what}")
    if not lacking:
        names = ", ".join(sorted(extras))
        yield Finding("packages", Health.FINE, f"{len(wanted)} packages{f', with what {names} needs' if names else ''}")


def read_requirement(text: str) -> Requirement:
    """Return a requirement from the text of package metadata."""
    found = _REQUIREMENT.match(text)
    if found is None:
        return Requirement(text, "", None)
    return Requirement(found["name"], found["bounds"].strip(), found["extra"])


def _lack(one: Requirement) -> str | None:
    try:
        there = version(one.name)
    except PackageNotFoundError:
        return f"{one.name} is not installed" + (f": the extra {one.extra} needs it" if one.extra else "")
    return None if one.admits(there) else f"{one.name} {there} is installed, and {one.bounds} is needed"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split("+")[0]))


def _holds(found: tuple[int, ...], sign: str, bound: tuple[int, ...]) -> bool:
    width = max(len(found), len(bound))
    one, two = (numbers + (0,) * (width - len(numbers)) for numbers in (found, bound))
    return {">=": one >= two, "<=": one <= two, "==": one == two, "<": one < two, ">": one > two}[sign]
