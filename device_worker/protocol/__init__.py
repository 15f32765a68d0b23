"""What controller and worker say to each other: the only part of the worker that the controller sees.

`messages` frames the conversation over one byte stream, `records` frames the event log, `samples` packs raw numbers,
and `vocabulary` names every message, event, outcome and failure. docs/worker-protocol.md tells the whole story.
"""

PROTOCOL_VERSION = 1
"""Raised when a plan, a message or an event changes so that an older peer would misread it."""
