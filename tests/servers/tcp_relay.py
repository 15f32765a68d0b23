"""A link that can be cut: a TCP forwarder on loopback that a test puts between a client and its server."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Self

from tests.servers.ports import free_port

_CHUNK_BYTES = 65_536
_TIMEOUT_S = 10.0
_PORT_TRIES = 5
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: close() sends RST instead of FIN


class Direction(Enum):
    """Which of the bytes that pass are meant."""

    TO_TARGET = auto()
    TO_CLIENT = auto()
    BOTH = auto()


@dataclass(slots=True)
class _Hold:
    """A link that is to fall silent once so many more bytes have passed."""

    bytes_left: int
    direction: Direction
    reached: threading.Event = field(default_factory=threading.Event)

    def concerns(self, direction: Direction) -> bool:
        return self.direction in (direction, Direction.BOTH)


class TcpRelay:
    """Forwards connections to `host`:`port` on to the target, until the test breaks the link.

    As a context manager it runs inside the block. `cut` is a crashed gateway or a firewall that rejects;
    `blackhole` is a pulled cable, and `hold_after` one that is pulled at a certain byte; `restore` ends them. A relay
    with `admitted_per_s` serves new clients at that rate, as a busy firewall does: the others wait, connected.
    """

    def __init__(
        self, target_host: str, target_port: int, *, host: str = "127.0.0.1", admitted_per_s: float | None = None
    ) -> None:
        self.host = host
        self.port = free_port(host)
        self.bytes_relayed = 0
        self._target = (target_host, target_port)
        self._admission_s = 0.0 if admitted_per_s is None else 1.0 / admitted_per_s
        self._admits_at = 0.0
        self._thread = threading.Thread(target=self._run, name="tcp-relay", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: asyncio.Event
        self._flowing: asyncio.Event
        self._listener: socket.socket | None = None
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._hold: _Hold | None = None
        self._byte_s: float | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def connection_count(self) -> int:
        """How many clients are connected now."""
        return len(self._connections)

    def start(self) -> None:
        """Start to listen and forward; return once clients can connect."""
        self._thread.start()
        self._ready.wait(_TIMEOUT_S)
        self._do(self._listen(any_port=True))

    def cut(self) -> None:
        """Reset all connections, on both sides, and refuse new ones."""
        self._do(self._cut())

    def blackhole(self) -> None:
        """Pass no more bytes, in silence; connections stay open, and new ones are taken but not served."""
        self._do(self._set_flowing(False))

    def drip(self, byte_s: float) -> None:
        """Pass a byte each so many seconds in each direction, as a device does that is not quite dead."""
        self._byte_s = byte_s

    def hold_after(self, byte_count: int, direction: Direction = Direction.BOTH) -> threading.Event:
        """Become a blackhole once exactly so many more bytes have passed; the event is set when that happens."""
        hold = _Hold(byte_count, direction)
        self._do(self._set_hold(hold))
        return hold.reached

    def restore(self) -> None:
        """Pass bytes again, those held back first, and take new connections on the same port."""
        self._byte_s = None
        self._do(self._set_flowing(True))
        self._do(self._listen(any_port=False))

    def close(self) -> None:
        """Reset what is connected and end."""
        if self._loop is None:
            return
        self._do(self._cut())
        self._loop.call_soon_threadsafe(self._finished.set)
        self._thread.join(_TIMEOUT_S)
        self._loop = None

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._ready.set()
        await self._finished.wait()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in the relay's own thread and wait for it."""
        if self._loop is None:
            work.close()
            raise RuntimeError("the relay isn't running")
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT_S)

    async def _listen(self, *, any_port: bool) -> None:
        if self._listener is not None:
            return
        for tries_left in reversed(range(_PORT_TRIES)):
            try:
                self._listener = socket.create_server((self.host, self.port), backlog=1000)
                break
            except OSError:
                if not (any_port and tries_left):
                    raise
                self.port = free_port(self.host)
        assert self._listener is not None
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _accept(self, listener: socket.socket) -> None:
        # Not asyncio's own server: a cut there forgets, open, a connection that it is just taking.
        with suppress(BlockingIOError, ConnectionError):
            client, _ = listener.accept()
            client.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._serve(client))
            self._connections[task] = client
            task.add_done_callback(lambda task: self._connections.pop(task).close())

    async def _set_hold(self, hold: _Hold) -> None:
        self._hold = hold

    async def _set_flowing(self, flowing: bool) -> None:
        self._hold = None
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _cut(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for task, client in self._connections.items():
            with suppress(OSError):  # it was closed a moment ago
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, client: socket.socket) -> None:
        """Serve one client until either side closes, or the link is cut."""
        writers: list[asyncio.StreamWriter] = []
        try:
            reader, writer = await asyncio.open_connection(sock=client)
            writers.append(writer)
            await self._admit()
            await self._flowing.wait()
            target_reader, target_writer = await asyncio.open_connection(*self._target)
            writers.append(target_writer)
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._pump(reader, target_writer, Direction.TO_TARGET))
                both_ways.create_task(self._pump(target_reader, writer, Direction.TO_CLIENT))
            for open_writer in writers:
                open_writer.close()
        except (OSError, ExceptionGroup):
            with suppress(asyncio.CancelledError):
                await self._flowing.wait()  # that one side is gone doesn't get through a blackhole either
            for open_writer in writers:
                _reset(open_writer)
        except asyncio.CancelledError:
            for open_writer in writers:
                _reset(open_writer)
        for open_writer in writers:
            with suppress(OSError):
                await open_writer.wait_closed()

    async def _admit(self) -> None:
        """Wait until this client's turn has come."""
        now = asyncio.get_running_loop().time()
        self._admits_at = max(self._admits_at + self._admission_s, now)
        await asyncio.sleep(self._admits_at - now)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction) -> None:
        while data := await source.read(_CHUNK_BYTES):
            await self._flowing.wait()
            while data:
                hold = self._hold if self._hold is not None and self._hold.concerns(direction) else None
                wanted = len(data)
                if self._byte_s is not None:
                    await asyncio.sleep(self._byte_s)
                    wanted = 1
                passing = wanted if hold is None else self._allowance(hold, wanted)
                sink.write(data[:passing])
                await sink.drain()
                self.bytes_relayed += passing
                data = data[passing:]
                if hold is not None and hold.bytes_left == 0:
                    hold.reached.set()
                await self._flowing.wait()
        await self._flowing.wait()
        sink.write_eof()

    def _allowance(self, hold: _Hold, byte_count: int) -> int:
        """Return how many of these bytes may pass before the link is held; lets no others pass from then on."""
        passing = min(byte_count, hold.bytes_left)
        hold.bytes_left -= passing
        if hold.bytes_left == 0:
            self._hold = None
            self._flowing.clear()
        return passing


def _reset(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
