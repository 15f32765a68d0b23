"""Define the language between controller and worker: the only part of the worker for the controller to import.

`messages` frames the conversation over a byte stream, `records` frames the event log, `samples` packs raw numbers, and
`vocabulary` names every message, event, outcome and failure. Description: docs/worker-protocol.md.
"""

PROTOCOL_VERSION = 1
"""To be increased with every change of a plan, a message or an event that an older peer would misread."""
