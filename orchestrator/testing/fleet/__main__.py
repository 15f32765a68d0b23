"""Run a fleet in a process of its own: `python -m orchestrator.testing.fleet FOLDER`.

FOLDER has `fleet.json` and the keys `host_key` and `client_key.pub`. The port is printed once devices can be reached.
Lines of standard input are orders, each answered by a line: `hold DEVICE TRIAL` lets no trial from that place of the
plan on end, `go DEVICE` lets trials end again, `held DEVICE` counts the followed devices that only a hold keeps from
going on. DEVICE is a name, or `*` for all. The end of standard input ends the fleet.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import sys
from pathlib import Path

from orchestrator.testing.fleet.faults import Faults, Pace
from orchestrator.testing.fleet.server import Fleet, FleetPlan


def read_plan(file: Path) -> FleetPlan:
    """Return the plan in a file: {"names": […], "pace": {…}, "faults": {name: {…}}}."""
    said = json.loads(file.read_text())
    faults = {name: Faults.from_json(one) for name, one in said.get("faults", {}).items()}
    return FleetPlan(tuple(said["names"]), Pace(**said.get("pace", {})), faults)


async def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    fleet = Fleet(read_plan(folder / "fleet.json"))
    acceptor, port = await fleet.listen(folder / "host_key", folder / "client_key.pub")
    print(port, flush=True)  # noqa: T201 - what whoever started the fleet waits for
    gc.freeze()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order, name, *rest = line.split()
        devices = list(fleet.devices.values()) if name == "*" else [fleet.named(name)]
        if order == "held":
            print(sum(device.is_held for device in devices), flush=True)  # noqa: T201
            continue
        for device in devices:
            device.hold(int(rest[0]) if order == "hold" else math.inf)
        print("done", flush=True)  # noqa: T201
    acceptor.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
