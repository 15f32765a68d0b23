"""Name the command for going on with a run after a failure of the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.domain.errors import StoreError
from orchestrator.driving.stages.part import Intent


@contextmanager
def naming_next_command(run: str, intent: Intent) -> Iterator[None]:
    """Add the command for going on with the run to an error of the database."""
    try:
        yield
    except StoreError as error:
        again = f"benchfleet runs {'cancel' if intent is Intent.CANCEL else 'resume'} {run}"
        told = StoreError(error.message, f"{error.hint}; then: {again}" if error.hint else again)
        told.exit_code = error.exit_code  # a subclass may have another exit code than StoreError
        raise told from error
