"""Read an outlet of a PDU by SNMP, version 2c."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from orchestrator.domain.errors import ConfigError, MeterFailed
from orchestrator.domain.meter import Meter, MeterReading

_PORT = 161
_ANSWER_S_MAX = 2.0
_RETRIES = 1
_VERSION_2C = 1


class SnmpOutlet:
    """An object of an SNMP agent that holds a power."""

    def __init__(self, meter: Meter) -> None:
        try:
            from pysnmp.hlapi.v3arch import asyncio as hlapi  # an extra, and half a second to import
        except ImportError:
            raise ConfigError(f"{meter.name}: pysnmp is not installed", "pip install 'benchfleet[snmp]'") from None
        variable = meter.community_variable
        community = "public" if variable is None else os.environ.get(variable, "")
        if not community:
            raise ConfigError(f"{meter.name}: the environment has no {variable}", f"export {variable}=…")
        self._meter = meter
        self._hlapi: Any = hlapi
        self._loop = asyncio.new_event_loop()
        self._engine = hlapi.SnmpEngine()
        self._community = hlapi.CommunityData(community, mpModel=_VERSION_2C)
        self._target: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._engine.close_dispatcher()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def read(self) -> Sequence[MeterReading]:
        """Return the present power. Raise MeterFailed."""
        asked = time.time_ns()
        value = self._loop.run_until_complete(self._ask())
        watts = value * self._meter.watts_per_unit
        if not 0 <= watts < 1e6:
            raise MeterFailed(f"{self._meter.name}: {value} is no power")
        return [MeterReading((asked + time.time_ns()) // 2, watts)]

    async def _ask(self) -> float:
        hlapi, name = self._hlapi, self._meter.name
        if self._target is None:
            host, _, port = self._meter.place.partition(":")
            address = (host, int(port or _PORT))
            try:
                self._target = await hlapi.UdpTransportTarget.create(address, timeout=_ANSWER_S_MAX, retries=_RETRIES)
            except Exception as error:  # noqa: BLE001 the library wraps what a look-up of the name raises
                raise MeterFailed(f"{name}: {error}") from None
        wanted = hlapi.ObjectType(hlapi.ObjectIdentity(self._meter.oid))
        failed, status, _index, found = await hlapi.get_cmd(
            self._engine, self._community, self._target, hlapi.ContextData(), wanted, lookupMib=False
        )
        if failed or status:
            raise MeterFailed(f"{name}: {failed or status.prettyPrint()}")
        text = found[0][1].prettyPrint()
        try:
            return float(text)
        except ValueError:
            raise MeterFailed(f"{name}: {self._meter.oid} holds no number") from None
