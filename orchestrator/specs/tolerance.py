"""Declare how far outputs may differ and still agree."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from orchestrator.domain.tolerance import Tolerance
from orchestrator.specs.schema import Section
from orchestrator.specs.words import Share

_USUAL = Tolerance()


class ToleranceSection(Section):
    """Declare a tolerance: a value may differ by `absolute`, and by `relative` of the parent's value besides."""

    absolute: Annotated[float, Field(ge=0)] = _USUAL.absolute
    """How far a value may differ."""
    relative: Share = _USUAL.relative
    """How much further, as a share of the parent's value."""
