"""Take a device's part from stage to stage: `advance`.

Pure: frozen values in, frozen values out. No store, no clock, no thread. The first rule with a true condition applies.
An event without a rule in the present stage is no change, such as a late report of an ended device.
"""

from __future__ import annotations

from orchestrator.driving.stages import following, helping, requesting
from orchestrator.driving.stages.events import Event
from orchestrator.driving.stages.part import DevicePart
from orchestrator.driving.stages.rules import Change, Table

TABLE = Table([*requesting.RULES, *following.RULES, *helping.RULES])


def advance(part: DevicePart, event: Event) -> Change:
    """Return the part after an event, and the orders for the driver, in sequence."""
    rule = TABLE.find(part, event)
    # No error for an event without a rule: reports and answers cross each other, and may come too late.
    return (part, ()) if rule is None else rule.act(part, event)
