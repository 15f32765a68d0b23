"""Find the reason of a failed attempt, from the end and the output of the process."""

from __future__ import annotations

import re
import signal

from device_worker.protocol.printable import printable
from device_worker.protocol.vocabulary import FailureKind
from device_worker.runner.trial_process import STDOUT_BYTES_MAX, EndedBy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.runner.trial_output import TrialOutput
    from device_worker.runner.trial_process import Ending, TrialCommand

_MEMORY_WORDS = ("MemoryError", "bad_alloc", "Cannot allocate memory", "out of memory", "Out of memory")
_WORDS_MAX = 200
_RETURN_IN_WORD = b"\r(?=[:'\"]|\xe2\x80\x99)"
_RETURN_REMARK = " (\\r is a carriage return, as Windows writes lines: save the file with Unix line ends)"
_LED_TO = (
    r"\n(?:The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\n"
)
_MEANINGS = {
    "SIGILL": "an instruction that this processor lacks: the program or library was built for another one",
    "SIGBUS": "a file that was mapped is cut short, its disk is full or fails, or an address is not aligned",
    "SIGSYS": "a system call that the container or sandbox forbids",
    "SIGXCPU": "the login limits processor time: ulimit -t",
    "SIGXFSZ": "the login limits the length of files: ulimit -f",
}
"""Signals that say who is to blame. A SIGSEGV has too many causes."""

_OWN_WORDS = (FailureKind.LOAD, FailureKind.INFERENCE, FailureKind.FALLBACK, FailureKind.OUT_OF_MEMORY)


def failure(kind: str, message: str, ending: Ending | None = None) -> dict[str, Any]:
    """Return a failure in the form of the event log. `kind` is a value of `Failure`."""
    status = None if ending is None else ending.status
    return {
        "kind": kind,
        "message": message,
        "signal": _signal_name(-status) if status is not None and status < 0 else None,
        "exit_code": status if status is not None and status >= 0 else None,
        "stderr_tail": "" if ending is None else printable(ending.stderr_tail),
    }


def find_failure(ending: Ending, output: TrialOutput, launch: TrialCommand) -> dict[str, Any] | None:
    """Return the failure of an attempt, or None if the attempt is ok."""
    # The most telling reason wins: a killed process also lacks its last line, which would explain nothing.
    reason = _reason_of_runner(ending, launch) or _reason_of_signal(ending, launch)
    reason = reason or _reason_of_program(output) or _reason_of_exit(ending, output, launch)
    return None if reason is None else failure(reason[0], reason[1], ending)


def _reason_of_runner(ending: Ending, launch: TrialCommand) -> tuple[str, str] | None:
    if ending.start_error is not None:
        return FailureKind.START, ending.start_error
    if ending.ended_by == EndedBy.STOP:
        return FailureKind.CANCELLED, "the run was cancelled"
    if ending.ended_by == EndedBy.TIMEOUT:
        return FailureKind.TIMEOUT, f"still running after {launch.timeout_s:g} s{_outlived(ending)}"
    if ending.ended_by == EndedBy.OUTPUT:
        return FailureKind.GARBAGE, f"printed more than {STDOUT_BYTES_MAX >> 20} MiB"
    return None


def _outlived(ending: Ending) -> str:
    if not ending.survivors:
        return ""
    from device_worker.system.survivors import name_all  # a survivor is rare, and a start is not

    return f", and after the kill: {name_all(ending.survivors)}"


def _reason_of_signal(ending: Ending, launch: TrialCommand) -> tuple[str, str] | None:
    if ending.status is None or ending.status >= 0:
        return None
    if -ending.status == signal.SIGKILL and ending.oom_kills:
        return FailureKind.OUT_OF_MEMORY, "killed by the kernel for lack of memory"
    if _speaks_of_memory(ending):
        return FailureKind.OUT_OF_MEMORY, _memory_message(launch)
    name = _signal_name(-ending.status)
    meaning = f" ({_MEANINGS[name]})" if name in _MEANINGS else ""
    return FailureKind.SIGNAL, f"killed by {name}{meaning}{_last_words(ending)}"


def _reason_of_program(output: TrialOutput) -> tuple[str, str] | None:
    if output.failure is None:
        return None
    kind, message = output.failure["kind"], str(output.failure.get("message", ""))
    if kind not in _OWN_WORDS:  # a program may invent kinds, but other kinds of `Failure` are for the runner to give
        return FailureKind.INFERENCE, f"{kind}: {message}"
    return kind, message


def _reason_of_exit(ending: Ending, output: TrialOutput, launch: TrialCommand) -> tuple[str, str] | None:
    if ending.status:
        if _speaks_of_memory(ending):
            return FailureKind.OUT_OF_MEMORY, _memory_message(launch)
        said = f", having printed {output.garbage}" if output.garbage else ""
        return FailureKind.EXIT_CODE, f"ended with exit code {ending.status}{said}{_last_words(ending)}"
    if output.garbage:
        return FailureKind.GARBAGE, output.garbage
    if not output.is_done:
        return FailureKind.NO_RESULT, 'ended without its last line, {"done": true}'
    if not output.has_metrics:
        return FailureKind.NO_RESULT, "ended without a metric"
    return None


def _last_words(ending: Ending) -> str:
    """Return ": " and the program's last line on standard error, or "" if there is none."""
    tail = bytes(ending.stderr_tail)
    # A shell that names a word with a carriage return at its end: the file was written with the line ends of Windows.
    shown = re.sub(_RETURN_IN_WORD, rb"\\r", tail)
    text = printable(shown)
    last = _last_line(text)
    remark = _RETURN_REMARK if shown != tail else ""
    # Of a chain of exceptions, Python prints the first cause first, and the last may be a library's own words.
    chain = re.split(_LED_TO, text, maxsplit=1)
    first = _last_line(chain[0]) if len(chain) > 1 else ""
    said = f"{first}, which led to {last}" if first else last
    return f": {said}{remark}" if said else ""


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1][:_WORDS_MAX] if lines else ""


def _speaks_of_memory(ending: Ending) -> bool:
    text = ending.stderr_tail.decode("utf-8", "replace")
    return any(word in text for word in _MEMORY_WORDS)


def _memory_message(launch: TrialCommand) -> str:
    if launch.memory_bytes is None:
        return "ran out of memory"
    return f"ran out of memory (the limit is {launch.memory_bytes >> 20} MiB)"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has a number only
        return f"SIG{number}"
