"""Read the outputs of a model, once or timed. Outputs of a kind that the runtime cannot copy cost no trial."""

from __future__ import annotations

from device_worker.trial.batching import refuse_outputs
from device_worker.trial.judged import READ_ERRORS
from device_worker.trial.measurement import time_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from device_worker.trial.measurement import StopRule, Timing
    from device_worker.trial.runtimes.base import LoadedModel


def read_outputs(session: LoadedModel, batch: int) -> None:
    """Read the outputs once. Raise LoadFailure if they are of no batch. What cannot be read is timed all the same."""
    try:
        outputs = session.get_outputs()
    except READ_ERRORS:
        return
    refuse_outputs(session, outputs, batch)


def time_reading(session: LoadedModel, rule: StopRule) -> Timing | None:
    """Time the copies of outputs, or return None for outputs of a kind that the runtime cannot copy."""
    try:
        return time_calls(session.get_outputs, rule)
    except READ_ERRORS:
        return None
