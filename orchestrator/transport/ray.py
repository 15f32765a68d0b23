"""Reach a device that is a node of a Ray cluster: an actor there starts the device's commands, as for a local device.

Bytes pass through the actor as they pass through an SSH connection, so that a session knows no difference. In a process
that runs on the node already, such as a gateway there, no actor is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.cluster.joining import first_line, join_cluster
from orchestrator.cluster.nodes import VERSIONS_HINT, Versions, living_nodes, own_node, versions_here
from orchestrator.cluster.priority import take_login_priority
from orchestrator.domain.cluster import Node, labels_text, nodes_having, start_hint
from orchestrator.domain.device import Device
from orchestrator.domain.errors import DeviceError, DeviceUnfit, LinkLost, RayUnavailable, Unreachable
from orchestrator.transport.base import BYTES_PER_S_MIN, Completed, Transport
from orchestrator.transport.command import END_TIMEOUT_S, STATUS_UNKNOWN, WRITE_STALL_S, command_line, run_to_end
from orchestrator.transport.local import LocalConnector, LocalStream, LocalTransport
from orchestrator.transport.settings import TransportSettings

_PLACE_S_MAX = 60.0
"""How long a node may take to start an actor: a process that imports benchfleet, on a machine that may be busy."""
_ANSWER_S_MAX = 20.0
"""How long a node may take to answer, beyond the time that the question itself may take."""
_CALLS_MAX = 32
"""How many calls an actor takes at once. A call that reads may wait for long."""
_DIED = "The actor died because "

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RayConnector:
    """Opens transports to nodes of the cluster at `address`."""

    address: str | None
    end_timeout_s: float = END_TIMEOUT_S
    write_stall_s: float = WRITE_STALL_S

    def connect(self, device: Device) -> Transport:
        """Return an open transport to the one node that has the device's labels.

        Raise Unreachable without a cluster, without a node, and for several nodes. Raise DeviceUnfit for a node of
        other versions.
        """
        try:
            return self._connect(device)
        except RayUnavailable as error:
            raise Unreachable(error.message, error.hint, device=device.name) from error

    def _connect(self, device: Device) -> Transport:
        if self.address is None:
            raise Unreachable(
                "it is a node of a Ray cluster, and no cluster is named", "--ray-address HOST:PORT", device=device.name
            )
        ray, _ = join_cluster(self.address)
        node = _only(device, nodes_having(device.node, living_nodes(ray, self.address)), self.address)
        local = LocalConnector(self.end_timeout_s, self.write_stall_s)
        if node.id == own_node():
            return LocalTransport(device.name, local, take_login_priority)
        return NodeTransport(ray, _place(ray, node, device, local), device.name, self)


def connector(settings: TransportSettings) -> RayConnector:
    """Return the connector."""
    return RayConnector(settings.ray_address)


def _only(device: Device, found: Sequence[Node], address: str) -> Node:
    if len(found) == 1:
        return found[0]
    labels = labels_text(device.node)
    if not found:
        words = f"no node of the Ray cluster at {address} has the labels {labels}"
        raise Unreachable(words, start_hint(device.node, address), device=device.name)
    words = f"{len(found)} nodes of the Ray cluster at {address} have the labels {labels}, and a device is one"
    hint = "name one more label in `node:` of the inventory; benchfleet doctor lists the nodes with their labels"
    raise Unreachable(words, hint, device=device.name)


def _place(ray: Any, node: Node, device: Device, local: LocalConnector) -> Any:
    """Start an actor on a node, and return the actor. Raise Unreachable, and DeviceUnfit for other versions."""
    pinned = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id=node.id, soft=False)
    # No processor is reserved: the actor waits, and a node may be busy with other work of the cluster.
    kind = ray.remote(num_cpus=0, max_concurrency=_CALLS_MAX, scheduling_strategy=pinned)(NodeHost)
    host = None
    try:
        host = kind.remote(device.name, local)
        there = Versions(*ray.get(host.versions.remote(), timeout=_PLACE_S_MAX))
    except Exception as error:  # Ray has no class of its own for a head that has gone
        if host is not None:
            with suppress(Exception):
                ray.kill(host)
        raise Unreachable(
            f"no process starts on the node {labels_text(device.node)}: {_words_of(error)}",
            "is benchfleet[ray] installed in the environment of `ray start` there? `ray status` shows the cluster",
            device=device.name,
        ) from error
    if (other := versions_here().against(there)) is not None:
        ray.kill(host)
        words = f"the node {labels_text(device.node)} has {other}"
        raise DeviceUnfit(words, VERSIONS_HINT, device=device.name)
    return host


class NodeHost:
    """Start commands on the actor's node, inside the actor. An expected failure is returned as a value."""

    def __init__(self, device: str, local: LocalConnector) -> None:
        self._transport = LocalTransport(device, local, take_login_priority)
        self._streams: dict[int, LocalStream] = {}
        self._lock = threading.Lock()
        self._begun = 0

    def versions(self) -> tuple[str, str, str]:
        """Return the versions of the node."""
        return versions_here().told()

    def start(self, argv: Sequence[str]) -> int | DeviceError:
        """Start a command, and return the number of its stream."""
        return _as_value(lambda: self._start(argv))

    def read(self, number: int, size: int, timeout_s: float | None) -> bytes | DeviceError:
        """Read from a stream."""
        return _as_value(lambda: self._stream(number).read(size, timeout_s))

    def write(self, number: int, data: bytes) -> DeviceError | None:
        """Write to a stream."""
        return _as_value(lambda: self._stream(number).write(data))

    def close_input(self, number: int) -> DeviceError | None:
        """Close the input of a stream."""
        return _as_value(lambda: self._stream(number).close_input())

    def finish(self, number: int, timeout_s: float) -> Completed | DeviceError:
        """End a stream, and forget it."""
        completed = _as_value(lambda: self._stream(number).finish(timeout_s))
        with self._lock:
            self._streams.pop(number, None)
        return completed

    def close(self) -> None:
        """End all streams."""
        self._transport.close()

    def _start(self, argv: Sequence[str]) -> int:
        stream = self._transport.stream(argv)
        with self._lock:
            self._begun += 1
            self._streams[self._begun] = stream
            return self._begun

    def _stream(self, number: int) -> LocalStream:
        with self._lock:
            stream = self._streams.get(number)
        if stream is None:
            raise LinkLost("the stream was ended")
        return stream


def _as_value(call: Callable[[], Result]) -> Result | DeviceError:
    try:
        return call()
    except DeviceError as error:
        return error


class NodeTransport:
    """The controller's end of the connection to a node."""

    def __init__(self, ray: Any, host: Any, device: str, settings: RayConnector) -> None:
        self._ray = ray
        self._host = host
        self._device = device
        self._settings = settings
        self._closed = False

    def stream(self, argv: Sequence[str]) -> NodeStream:
        """Start a command. A missing program ends with status 127, as in a shell."""
        command_line(argv)  # raises for the same vectors as every other transport
        return NodeStream(self.ask("start", 0.0, list(argv)), self, self._settings)

    def run(self, argv: Sequence[str], timeout_s: float = 30.0) -> Completed:
        """Run a short command to the end, and kill the command after `timeout_s`."""
        return run_to_end(self.stream(argv), timeout_s)

    def close(self) -> None:
        """Close the input of all running commands, and end the actor. Commands that do not end are killed."""
        if self._closed:
            return
        self._closed = True
        # Whatever has become of the node: nobody waits for it any more.
        with suppress(Exception):
            ended = self._host.close.remote()
            self._ray.wait([ended], timeout=2 * self._settings.end_timeout_s)
        with suppress(Exception):
            self._ray.kill(self._host)

    def ask(self, question: str, may_take_s: float | None, *about: Any) -> Any:
        """Return the answer of the actor. Raise LinkLost, and whatever the command's own failure is."""
        if self._closed:
            raise LinkLost("the connection was closed", device=self._device)
        limit_s = None if may_take_s is None else may_take_s + _ANSWER_S_MAX
        try:
            answer = self._ray.get(getattr(self._host, question).remote(*about), timeout=limit_s)
        except self._ray.exceptions.GetTimeoutError as error:
            raise LinkLost(f"the node has not answered for {limit_s:g} s", device=self._device) from error
        except Exception as error:  # Ray has no class of its own for a head that has gone
            raise LinkLost(f"the node does not answer: {_words_of(error)}", device=self._device) from error
        if isinstance(answer, DeviceError):
            raise answer
        return answer


class NodeStream:
    """The controller's end of a command's pipes."""

    def __init__(self, number: int, transport: NodeTransport, settings: RayConnector) -> None:
        self._number = number
        self._transport = transport
        self._settings = settings
        self._completed: Completed | None = None
        self._lost = False

    def read(self, size: int, timeout_s: float | None = None) -> bytes:
        """Return the next bytes of stdout, b"" at the end."""
        data: bytes = self._ask("read", timeout_s, size, timeout_s)
        return data

    def write(self, data: bytes) -> None:
        """Write all of `data` to the command's standard input."""
        self._ask("write", self._settings.write_stall_s + len(data) / BYTES_PER_S_MIN, data)

    def close_input(self) -> None:
        """Close the command's standard input."""
        self._ask("close_input", self._settings.write_stall_s)

    def end(self) -> Completed:
        """Close both directions, wait for the command, then kill it. Return its end, unknown if the node has gone."""
        return self.finish(self._settings.end_timeout_s)

    def finish(self, timeout_s: float) -> Completed:
        """End as `end`, but wait at most `timeout_s`."""
        if self._completed is None:
            try:
                self._completed = self._ask("finish", timeout_s, timeout_s)
            except LinkLost:
                self._completed = Completed(STATUS_UNKNOWN, b"", b"")
        return self._completed

    def abandon(self) -> None:
        """Kill the command."""
        self.finish(0.0)

    def _ask(self, question: str, may_take_s: float | None, *about: Any) -> Any:
        if self._lost or self._completed is not None:
            raise LinkLost("the stream was ended")
        try:
            return self._transport.ask(question, may_take_s, self._number, *about)
        except LinkLost as error:
            # A read that was given up here may still take bytes there: nothing may be read behind them. A failure
            # that the node itself told has no cause, and leaves the stream as it is.
            self._lost = error.__cause__ is not None
            raise


def _words_of(error: BaseException) -> str:
    """Return why an actor has ended, in a line: Ray tells it in the middle of several."""
    lines = [line.strip() for line in str(error).splitlines()]
    reason = next((line.removeprefix(_DIED) for line in lines if line.startswith(_DIED)), None)
    return reason or first_line(error)
