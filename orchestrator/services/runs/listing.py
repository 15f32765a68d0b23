"""Read which runs a list shows."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.nearest import did_you_mean
from orchestrator.domain.run import RunState
from orchestrator.domain.run_filter import RunFilter
from orchestrator.domain.run_words import checked_key
from orchestrator.services.history.window import read_window


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Hold the conditions as people write them. `tags` are texts such as `branch=main`, or `branch` for any value."""

    sweep: str | None = None
    device: str | None = None
    model: str | None = None
    name: str | None = None
    state: str | None = None
    since: str | None = None
    tags: tuple[str, ...] = ()
    excluded: bool = False

    @property
    def narrows(self) -> bool:
        """Say whether any condition is given."""
        return any((self.sweep, self.device, self.model, self.name, self.state, self.since, self.tags))

    def read(self) -> RunFilter:
        """Return the conditions. Raise ConfigError for an unknown state, no time, or no tag."""
        return RunFilter(
            sweep=self.sweep,
            device=self.device,
            model=self.model,
            name=self.name,
            state=None if self.state is None else _state(self.state),
            since=None if self.since is None else read_window(self.since, None, 1).since,
            tags=tuple(_tag(text) for text in self.tags),
            excluded=self.excluded,
        )


def _state(text: str) -> RunState:
    known = [state.value for state in RunState]
    if text not in known:
        raise ConfigError(f"--state {text!r} is no state of a run", did_you_mean(text, known))
    return RunState(text)


def _tag(text: str) -> tuple[str, str | None]:
    key, separator, value = text.partition("=")
    return checked_key(key), value if separator else None
