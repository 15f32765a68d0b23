"""Name a series: the same cell in all runs of a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.domain.sweep import Setting, setting_texts


@dataclass(frozen=True, slots=True)
class Series:
    """Name a series by the coordinates of a cell. `id` is the database's."""

    id: int
    device: str
    model: str
    variant: str
    runtime: str
    settings: Mapping[str, Setting]

    @property
    def label(self) -> str:
        """Return the series in words: `pi-03 · digits · int8 · tflite-runtime==2.14.0 · threads=2`."""
        settings = setting_texts(sorted(self.settings.items()))
        return " · ".join((self.device, self.model, self.variant, self.runtime, *settings))
