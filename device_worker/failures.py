"""Say why an attempt failed, from how its process ended and what it printed."""

from __future__ import annotations

import signal

from device_worker.printable import printable
from device_worker.protocol.vocabulary import Failure
from device_worker.trial_process import STDOUT_BYTES_MAX, EndedBy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.trial_output import TrialOutput
    from device_worker.trial_process import Ending, Launch

_MEMORY_WORDS = ("MemoryError", "bad_alloc", "Cannot allocate memory", "out of memory", "Out of memory")
_WORDS_MAX = 200
_OWN_WORDS = (Failure.LOAD, Failure.INFERENCE, Failure.OUT_OF_MEMORY)


def failure(kind: str, message: str, ending: Ending | None = None) -> dict[str, Any]:
    """Return a failure as the event log holds it."""
    status = None if ending is None else ending.status
    return {
        "kind": kind,
        "message": message,
        "signal": _signal_name(-status) if status is not None and status < 0 else None,
        "exit_code": status if status is not None and status >= 0 else None,
        "stderr_tail": "" if ending is None else printable(ending.stderr_tail),
    }


def find_failure(ending: Ending, output: TrialOutput, launch: Launch) -> dict[str, Any] | None:
    """Return why the attempt failed, the most telling reason first; None if it did not."""
    reason = _reason_of_runner(ending, launch) or _reason_of_signal(ending, launch)
    reason = reason or _reason_of_program(output) or _reason_of_exit(ending, output, launch)
    return None if reason is None else failure(reason[0], reason[1], ending)


def _reason_of_runner(ending: Ending, launch: Launch) -> tuple[str, str] | None:
    if ending.start_error is not None:
        return Failure.START, ending.start_error
    if ending.ended_by == EndedBy.STOP:
        return Failure.CANCELLED, "the run was cancelled"
    if ending.ended_by == EndedBy.TIMEOUT:
        return Failure.TIMEOUT, f"still running after {launch.timeout_s:g} s"
    if ending.ended_by == EndedBy.OUTPUT:
        return Failure.GARBAGE, f"printed more than {STDOUT_BYTES_MAX >> 20} MiB"
    return None


def _reason_of_signal(ending: Ending, launch: Launch) -> tuple[str, str] | None:
    if ending.status is None or ending.status >= 0:
        return None
    if -ending.status == signal.SIGKILL and ending.oom_kills:
        return Failure.OUT_OF_MEMORY, "killed by the kernel, which had run out of memory"
    if _speaks_of_memory(ending):
        return Failure.OUT_OF_MEMORY, _memory_message(launch)
    return Failure.SIGNAL, f"killed by {_signal_name(-ending.status)}{_last_words(ending)}"


def _reason_of_program(output: TrialOutput) -> tuple[str, str] | None:
    if output.failure is None:
        return None
    kind, message = output.failure["kind"], str(output.failure.get("message", ""))
    if kind not in _OWN_WORDS:
        return Failure.INFERENCE, f"{kind}: {message}"
    return kind, message


def _reason_of_exit(ending: Ending, output: TrialOutput, launch: Launch) -> tuple[str, str] | None:
    if ending.status:
        if _speaks_of_memory(ending):
            return Failure.OUT_OF_MEMORY, _memory_message(launch)
        said = f", having printed {output.garbage}" if output.garbage else ""
        return Failure.EXIT_CODE, f"ended with exit code {ending.status}{said}{_last_words(ending)}"
    if output.garbage:
        return Failure.GARBAGE, output.garbage
    if not output.is_done:
        return Failure.NO_RESULT, 'ended without its last line, {"done": true}'
    if not output.has_metrics:
        return Failure.NO_RESULT, "ended without a metric"
    return None


def _last_words(ending: Ending) -> str:
    """Return the last line that the program wrote on standard error, to stand behind what it did."""
    lines = [line.strip() for line in printable(ending.stderr_tail).split("\n") if line.strip()]
    return f": {lines[-1][:_WORDS_MAX]}" if lines else ""


def _speaks_of_memory(ending: Ending) -> bool:
    text = ending.stderr_tail.decode("utf-8", "replace")
    return any(word in text for word in _MEMORY_WORDS)


def _memory_message(launch: Launch) -> str:
    if launch.memory_bytes is None:
        return "ran out of memory"
    return f"ran out of memory (it may use {launch.memory_bytes >> 20} MiB)"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"
