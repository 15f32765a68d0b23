"""Match the outputs of two variants: by name, then by shape, then by content. What stays open is said."""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestrator.domain.measurement import OutputPart

Agrees = Callable[[NDArray[np.float64], NDArray[np.float64]], bool]

_ALIKE_MAX = 4
"""More outputs of one shape have too many orders to try."""

# Converters number outputs by such names: the number is a position, and changes from variant to variant.
_POSITION = re.compile(r"(stateful)?(partitionedcall|identity|output|tf\.identity)?[-_:.]*[0-9]*", re.IGNORECASE)


def columns_of(base: Sequence[OutputPart], other: Sequence[OutputPart]) -> list[list[int]] | None:
    """Return the places of `other` that may stand for each output of `base`: one by name or shape, or several alike.

    Return None where the outputs are not of the same shapes.
    """
    if sorted(one.shape for one in base) != sorted(one.shape for one in other):
        return None
    names = {one.name: place for place, one in enumerate(other) if _is_name(one.name)}
    found: list[list[int]] = []
    for one in base:
        place = names.get(one.name)
        if place is not None and other[place].shape == one.shape:
            found.append([place])
        else:
            found.append([place for place, candidate in enumerate(other) if candidate.shape == one.shape])
    taken = {places[0] for places in found if len(places) == 1}
    return [places if len(places) == 1 else [one for one in places if one not in taken] for places in found]


def in_order_of(
    base: NDArray[np.float64],
    other: NDArray[np.float64],
    layouts: tuple[Sequence[OutputPart], Sequence[OutputPart]],
    agrees: Agrees,
) -> NDArray[np.float64] | str:
    """Return the values of `other` with the outputs in the order of `base`, or why they cannot be matched.

    `agrees` says whether the values of two outputs agree. Where shapes are equal and names tell nothing, the one order
    in which all outputs agree counts.
    """
    places = columns_of(*layouts)
    if places is None:
        return f"outputs have different shapes: {_words(layouts[0])} and {_words(layouts[1])}"
    columns = list(_slices(layouts[1]))
    parts = [base[:, one] for one in _slices(layouts[0])]
    chosen: dict[int, int] = {at: one[0] for at, one in enumerate(places) if len(one) == 1}
    for alike in _groups(places):
        order = _only_order(
            alike, [parts[at] for at in alike], [other[:, columns[one]] for one in places[alike[0]]], agrees
        )
        if order is None:
            shape = "x".join(map(str, layouts[0][alike[0]].shape))
            return f"{len(alike)} outputs of shape {shape} cannot be told apart: name one by output in model.yaml"
        chosen |= {at: places[alike[0]][one] for at, one in zip(alike, order, strict=True)}
    return np.concatenate([other[:, columns[chosen[at]]] for at in range(len(parts))], axis=1)


def _only_order(
    alike: Sequence[int],
    parts: Sequence[NDArray[np.float64]],
    candidates: Sequence[NDArray[np.float64]],
    agrees: Agrees,
) -> tuple[int, ...] | None:
    if len(alike) > _ALIKE_MAX:
        return None
    fits = [[agrees(part, candidate) for candidate in candidates] for part in parts]
    orders = [
        order
        for order in itertools.permutations(range(len(alike)))
        if all(fits[at][one] for at, one in enumerate(order))
    ]
    # Outputs that agree in every order are the same values: any order is right.
    same = all(np.array_equal(candidates[0], one) for one in candidates)
    return orders[0] if orders and (len(orders) == 1 or same) else None


def _groups(places: Sequence[list[int]]) -> Iterator[list[int]]:
    """Yield the places of outputs that share their candidates."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for at, one in enumerate(places):
        if len(one) > 1:
            groups[tuple(one)].append(at)
    yield from groups.values()


def _slices(layout: Sequence[OutputPart]) -> Iterator[slice]:
    begin = 0
    for one in layout:
        yield slice(begin, begin := begin + math.prod(one.shape))


def _is_name(name: str | None) -> bool:
    return name is not None and _POSITION.fullmatch(name) is None


def _words(layout: Sequence[OutputPart]) -> str:
    return ", ".join(f"[{', '.join(map(str, one.shape))}]" for one in layout)
