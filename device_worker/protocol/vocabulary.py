"""Name every message, event, outcome and failure of the protocol, in a single place."""


class Message:
    """Types of the conversation's messages. A question and the answer to the question share a type."""

    HELLO = "hello"
    BYTECODE = "bytecode"
    FACTS = "facts"
    CLOCK = "clock"
    BLOBS = "blobs"
    BLOB_PUT = "blob-put"
    START = "start"
    STATUS = "status"
    FOLLOW = "follow"
    RECORDS = "records"
    ALIVE = "alive"
    FOLLOW_ENDED = "follow-ended"
    CANCEL = "cancel"
    FORGET = "forget"
    STOCK = "stock"
    CLEAN = "clean"
    ERROR = "error"


class ErrorKind:
    """Kinds of an `error` message. The controller maps each kind to an error with a remedy."""

    BAD_REQUEST = "bad-request"
    PROTOCOL_MISMATCH = "protocol-mismatch"
    DISK_FULL = "disk-full"
    STATE_DIR = "state-dir-unusable"
    BLOB_CORRUPT = "blob-corrupt"
    BLOB_MISSING = "blob-missing"
    DEVICE_BUSY = "device-busy"
    STALE_LEASE = "stale-lease"
    PLAN_INVALID = "plan-invalid"
    LOG_CORRUPT = "log-corrupt"
    LOGIN_ENDS_RUNNER = "login-ends-runner"
    SURVIVOR = "survivor"
    RUNNER_FAILED = "runner-failed"
    WORKER_FAILED = "worker-failed"


class LogState:
    """States of a run on a device. UNKNOWN: the device has no log of the run."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"


class Event:
    """Kinds of the event log's records."""

    LOG_OPENED = "log-opened"
    RUNNER_STARTED = "runner-started"
    TRIAL_STARTED = "trial-started"
    TRIAL_FINISHED = "trial-finished"
    TRIAL_SKIPPED = "trial-skipped"
    TRIAL_SPARED = "trial-spared"
    RUNNER_STOPPED = "runner-stopped"
    RUN_FINISHED = "run-finished"


class SourceKind:
    """Kinds of a power source: a counter of energy in microjoules, or a gauge of present power in microwatts."""

    ENERGY_COUNTER = "energy-counter"
    POWER_GAUGE = "power-gauge"


class TrialKind:
    """Kinds of a trial. A preflight proves that a cell works, by loading, inference, outputs and accuracy.

    A measure trial times the cell. A profile trial tells operators apart, and is never timed.
    """

    PREFLIGHT = "preflight"
    MEASURE = "measure"
    PROFILE = "profile"


class Outcome:
    """Ends of an attempt."""

    OK = "ok"
    FAILED = "failed"


class FailureKind:
    """Reasons of a failed attempt."""

    LOAD = "load-error"
    INFERENCE = "inference-error"
    FALLBACK = "fallback"
    SIGNAL = "killed-by-signal"
    EXIT_CODE = "exit-code"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    GARBAGE = "garbage-output"
    NO_RESULT = "no-result"
    START = "could-not-start"
    CANCELLED = "cancelled"
    RUNNER_DIED = "runner-died"


class RunOutcome:
    """Ends of a run. A run that a full disk ended may be resumed."""

    COMPLETE = "complete"
    CANCELLED = "cancelled"
    DISK_FULL = "disk-full"


STARTED_VARIABLE = "BENCHFLEET_STARTED_MONO_NS"
"""The variable of a trial's environment that says when the runner began to start the trial, by CLOCK_MONOTONIC."""
