"""What each bundle runtime is made of, and what its packages' own metadata gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.errors import BundleError
from orchestrator.domain.runtime import RuntimeSpec


@dataclass(frozen=True, slots=True)
class Contents:
    """What to install for a runtime: a pinned requirement, what it forgets to demand, folders not worth shipping."""

    requirement: str
    constraints: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def package(self) -> str:
        """Return the name of the package that is required."""
        return self.requirement.partition("==")[0]

    @property
    def version(self) -> str:
        """Return its version."""
        return self.requirement.partition("==")[2]


@dataclass(frozen=True, slots=True)
class _Constraint:
    """A bound that holds for versions below `before`; for all of them if that is None."""

    text: str
    before: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Recipe:
    package: str
    package_by_machine: Mapping[str, str]
    constraints: tuple[_Constraint, ...]
    left_out: tuple[str, ...] = ()


_RECIPES = {
    # Every release was built against numpy 1: with numpy 2 it imports, and then every Interpreter() is a SystemError.
    "tflite-runtime": _Recipe("tflite-runtime", {}, (_Constraint("numpy<2"),)),
    # So was the first release of its successor.
    "ai-edge-litert": _Recipe("ai-edge-litert", {}, (_Constraint("numpy<2", before=(1, 1)),)),
    # On x86-64 the plain package brings CUDA code along (docs/decisions/0007). Old releases name no upper bounds:
    # numpy 2 breaks their binary interface, numpy 1.24 removed names that they use, protobuf 4 refuses their generated
    # code. The C++ headers are two thirds of all files; only building custom operators needs them.
    "tensorflow": _Recipe(
        "tensorflow",
        {"x86_64": "tensorflow-cpu"},
        (
            _Constraint("numpy<2", before=(2, 18)),
            _Constraint("numpy<1.24", before=(2, 13)),
            _Constraint("protobuf<3.21", before=(2, 12)),
        ),
        left_out=("tensorflow/include/",),
    ),
}


def contents_of(runtime: RuntimeSpec, machine: str) -> Contents:
    """Return what a bundle of this runtime holds on one kind of machine; raise BundleError for an unknown runtime."""
    recipe = _RECIPES.get(runtime.name)
    if recipe is None or not runtime.version:
        raise BundleError(
            f"there is no recipe for a bundle of {runtime.label}",
            hint=f"pin a version of one of {', '.join(sorted(_RECIPES))}, as in tflite-runtime==2.14.0",
        )
    release = _release(runtime.version)
    package = recipe.package_by_machine.get(machine, recipe.package)
    constraints = (bound.text for bound in recipe.constraints if bound.before is None or release < bound.before)
    return Contents(f"{package}=={runtime.version}", tuple(constraints), recipe.left_out)


def _release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version; what follows them (rc1, .post1) decides nothing here."""
    numbers: list[int] = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)
