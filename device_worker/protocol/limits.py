"""How large a trial's report may be: the device refuses what the database would, and says so in time.

A worker checks what a trial's program prints, and the store checks the log again, for it trusts no device.
"""

INT32_MAX = 2**31 - 1
INTEGER_MAX = 2**63 - 1
"""The largest whole number that both databases hold; samples too."""

NAME_CHARACTERS_MAX = 200
"""Of a metric's name, which is printable and not empty."""

METRICS_MAX = 1000
"""Of one attempt, the runner's own among them."""

OUTPUT_BYTES_MAX = 64 << 10

JSON_DEPTH_MAX = 12
JSON_VALUES_MAX = 20000
"""Of a document such as `runtime`: all objects, lists, texts and numbers in it, itself among them."""

RUNNER_SHARE = 10
"""So many of the metrics and of a document's values are left to what the runner adds to a program's report."""
