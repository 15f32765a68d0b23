"""Name every message, event, outcome and failure that crosses the wire, once."""


class Message:
    """Types of the conversation's messages; the question and its answer share a name."""

    HELLO = "hello"
    FACTS = "facts"
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
    """What an `error` message can be about; the controller maps each to an error with a remedy."""

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
    RUNNER_FAILED = "runner-failed"
    WORKER_FAILED = "worker-failed"


class RunState:
    """What a device says of a run that it knows or does not know."""

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
    RUN_FINISHED = "run-finished"


class TrialKind:
    """A preflight proves that a cell works (load, one inference, outputs, accuracy); a measure trial times it."""

    PREFLIGHT = "preflight"
    MEASURE = "measure"


class Outcome:
    """How one attempt at a trial ended."""

    OK = "ok"
    FAILED = "failed"


class Failure:
    """Why an attempt failed."""

    LOAD = "load-error"
    INFERENCE = "inference-error"
    SIGNAL = "killed-by-signal"
    EXIT_CODE = "exit-code"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    GARBAGE = "garbage-output"
    NO_RESULT = "no-result"
    START = "could-not-start"
    CANCELLED = "cancelled"
    RUNNER_DIED = "runner-died"


class Invalid:
    """Conditions that make a finished attempt unfit to be averaged in."""

    TOO_HOT = "too-hot"
    THROTTLED = "throttled"


class RunOutcome:
    """How a runner ended."""

    COMPLETE = "complete"
    CANCELLED = "cancelled"
    DISK_FULL = "disk-full"
