"""Limit a trial's report: the device refuses a report early if the database would refuse the report later.

The worker checks the output of a trial's program. The store checks the log again, since the store trusts no device.
"""

INT32_MAX = 2**31 - 1
INTEGER_MAX = 2**63 - 1
"""The largest whole number, and the largest sample, that both databases hold."""

NAME_CHARACTERS_MAX = 200
"""The longest name of a metric. A name is printable and not empty."""

REASON_CHARACTERS_MAX = 500
"""The longest reason for an absent metric."""

METRICS_MAX = 1000
"""The most metrics of an attempt, including the runner's own metrics."""

SAMPLED_METRICS_MAX = 100
ATTEMPT_SAMPLES_MAX = 8000000
"""The most metrics with samples, and the most samples of all metrics together, of an attempt.

Zeros deflate a thousandfold. Without the bounds, 6 MB of a log would take the controller a minute and gigabytes.
"""

OUTPUT_BYTES_MAX = 64 << 10

OPERATORS_MAX = 2000
"""The most operators of a profile."""

JSON_DEPTH_MAX = 12
JSON_VALUES_MAX = 20000
"""The most values in a document such as `runtime`: all objects, lists, texts and numbers, and the document itself."""

RUNNER_SHARE = 10
"""How many of the metrics, and of a document's values, are reserved for the runner's additions to a report."""
