"""List the contents of a runtime's bundle for a kind of machine."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.errors import BundleError
from orchestrator.domain.runtime import RuntimeSpec
from orchestrator.domain.runtimes import RUNTIMES, Runtime


@dataclass(frozen=True, slots=True)
class Contents:
    """Name the pinned requirement of a bundle, bounds missing in the package's metadata, and folders to leave out.

    `beside` are further requirements: those of a program with several packages, and of an engine whose package forgets
    one. `note` is what a person should know before the packages are fetched. `replaced` are packages whose files one of
    them brings under another name, so that no requirement for such a package is followed.
    """

    requirement: str
    constraints: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    note: str = ""

    @property
    def package(self) -> str:
        """Return the name of the required package, without extras."""
        return self.requirement.partition("==")[0].partition("[")[0]

    @property
    def version(self) -> str:
        """Return the pinned version."""
        return self.requirement.partition("==")[2]


def contents_of(runtime: RuntimeSpec, machine: str) -> Contents:
    """Return the contents of a runtime's bundle for a kind of machine. Raise BundleError for an unknown runtime.

    A program may bring any packages along. What is known of the packages of runtimes holds for the program's, too.
    """
    if runtime.program is not None and runtime.program.packages:
        first, *others = (_contents(package, machine) for package in runtime.program.packages)
        return Contents(
            first.requirement,
            tuple(bound for one in (first, *others) for bound in one.constraints),
            tuple(folder for one in (first, *others) for folder in one.left_out),
            (*(one.requirement for one in others), *(name for one in (first, *others) for name in one.beside)),
            tuple(name for one in (first, *others) for name in one.replaced) if others else (),
            next((one.note for one in (first, *others) if one.note), ""),
        )
    if runtime.name not in RUNTIMES or not runtime.version:
        example = next(iter(RUNTIMES.values()))
        raise BundleError(
            f"there is no recipe for a bundle of {runtime.label}",
            hint=f"pin a version of one of {', '.join(sorted(RUNTIMES))}, as in {example.name}=={example.example}",
        )
    return _contents(f"{runtime.name}=={runtime.version}", machine)


def _contents(pinned: str, machine: str) -> Contents:
    name, _, version = pinned.partition("==")
    known = RUNTIMES.get(name)
    if known is None:
        return Contents(pinned)
    release = _release(version)
    package = known.packages.get(machine, known.name)
    constraints = (bound.text for bound in known.bounds if bound.before is None or release < bound.before)
    replaced = () if package == known.name else (known.name,)
    extras = f"[{','.join(known.extras)}]" if known.extras else ""
    return Contents(
        f"{package}{extras}=={version}",
        tuple(constraints),
        known.left_out,
        known.beside,
        replaced,
        _note(known, version, machine),
    )


def _note(known: Runtime, version: str, machine: str) -> str:
    """Return what to know of the size of a runtime before it is fetched, or nothing."""
    since = known.brings_cuda.get(machine)
    # A local version, such as 2.13.0+cpu, says itself what it is built for.
    if since is None or _release(version) < since or "+" in version:
        return ""
    return (
        f"{known.name}=={version} for {machine} brings NVIDIA's libraries along: gigabytes to fetch, pack and send; "
        f"{known.name}=={version}+cpu is far smaller, where an index has it; system/{known.engine.name} sends nothing"
    )


def _release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version. The rest (rc1, .post1) does not matter for the bounds."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
