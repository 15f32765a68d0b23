"""Real servers that speak as power meters do: HTTP plugs, and an SNMP agent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OUTLET = (1, 3, 6, 1, 4, 1, 318, 1, 1, 12, 1, 16, 0)
"""The power of a rack PDU's first phase, in watts."""

Answer = Callable[[str], "tuple[int, bytes]"]


@contextmanager
def http_plug(answer: Answer) -> Iterator[str]:
    """Serve what `answer` says of a path, and yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def shelly(watts: Callable[[], float], component: str = "Switch", channel: int = 0) -> Answer:
    """Return the answers of a Shelly of generation 2, as its API's documentation shows them."""

    def answer(path: str) -> tuple[int, bytes]:
        if path != f"/rpc/{component}.GetStatus?id={channel}":
            return 404, b"No handler for " + path.encode()
        status: dict[str, Any] = {
            "id": channel,
            "source": "init",
            "output": True,
            "apower": round(watts(), 1),
            "voltage": 231.4,
            "current": 0.038,
            "aenergy": {"total": 1234.567, "by_minute": [142.1, 140.0, 139.7], "minute_ts": 1_772_353_800},
            "temperature": {"tC": 43.2, "tF": 109.8},
        }
        return 200, json.dumps(status).encode()

    return answer


def tasmota(power: Callable[[], Any]) -> Answer:
    """Return the answers of Tasmota to `Status 8`. `power` is a number, or a list of one for each outlet."""

    def answer(path: str) -> tuple[int, bytes]:
        if path != "/cm?cmnd=Status%208":
            return 200, b'{"Command":"Unknown"}'
        energy = {
            "TotalStartTime": "2026-01-01T00:00:00",
            "Total": 3.185,
            "Yesterday": 0.083,
            "Today": 0.046,
            "Power": power(),
            "ApparentPower": 12,
            "Factor": 0.71,
            "Voltage": 230,
            "Current": 0.052,
        }
        return 200, json.dumps({"StatusSNS": {"Time": "2026-03-01T08:30:00", "ENERGY": energy}}).encode()

    return answer


@contextmanager
def snmp_agent(value: Callable[[], int], community: str = "lab") -> Iterator[str]:
    """Run an SNMP agent whose OUTLET holds what `value` says, and yield its host and port."""
    from pysnmp.carrier.asyncio.dgram import udp
    from pysnmp.entity import config, engine
    from pysnmp.entity.rfc3413 import cmdrsp, context

    loop = asyncio.new_event_loop()
    ready = threading.Event()
    places: list[str] = []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        agent = engine.SnmpEngine()
        transport = udp.UdpAsyncioTransport(loop=loop).open_server_mode(("127.0.0.1", 0))
        config.add_transport(agent, udp.DOMAIN_NAME, transport)
        config.add_v1_system(agent, "readers", community)
        config.add_vacm_user(agent, 2, "readers", "noAuthNoPriv", OUTLET[:6], ())
        contexts = context.SnmpContext(agent)
        builder = contexts.get_mib_instrum().get_mib_builder()
        scalar, instance = builder.import_symbols("SNMPv2-SMI", "MibScalar", "MibScalarInstance")
        integer = builder.import_symbols("SNMPv2-SMI", "Integer32")[0]

        class Outlet(instance):  # type: ignore[misc, valid-type]
            def getValue(self, name: Any, **_context: Any) -> Any:
                return self.syntax.clone(value())

        builder.export_symbols("PDU", scalar(OUTLET[:-1], integer()), Outlet(OUTLET[:-1], (0,), integer(0)))
        cmdrsp.GetCommandResponder(agent, contexts)

        async def tell() -> None:
            while transport.transport is None:
                await asyncio.sleep(0.005)
            places.append("{}:{}".format(*transport.transport.get_extra_info("sockname")[:2]))
            ready.set()

        task = loop.create_task(tell())
        loop.run_forever()
        agent.close_dispatcher()
        loop.run_until_complete(asyncio.gather(task, asyncio.sleep(0)))  # the socket closes in the loop's next round

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(10), "the agent did not open its port"
        yield places[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
