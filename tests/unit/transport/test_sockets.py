"""What carries an SSH connection never blocks for ever, and leaves nothing behind."""

import errno
import socket
import threading
import time
from contextlib import suppress

import pytest

from orchestrator.transport.ssh.sockets import GuardedCarrier, ProxyProcess


def send_until_stuck(carrier: GuardedCarrier) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        carrier.send(bytes(65536))


def send_until_given_up(carrier: GuardedCarrier) -> None:
    while True:
        with suppress(TimeoutError):
            send_until_stuck(carrier)


def test_a_carrier_that_takes_no_data_is_given_up_and_closed() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        carrier = GuardedCarrier(ours, stall_s=0.1)
        carrier.settimeout(0.02)

        with pytest.raises(ConnectionAbortedError, match="takes no data"):
            send_until_given_up(carrier)

        assert ours.fileno() == -1


def test_one_that_takes_some_now_and_then_is_not() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        carrier = GuardedCarrier(ours, stall_s=60)
        carrier.settimeout(0.01)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                send_until_stuck(carrier)
            theirs.recv(1024 * 1024)
        carrier.close()
        carrier.close()


def test_one_that_the_system_has_given_up_is_not_tried_again() -> None:
    class TimedOut:
        def send(self, data: bytes) -> int:
            raise OSError(errno.ETIMEDOUT, "Connection timed out")

        def recv(self, size: int) -> bytes:
            raise OSError(errno.ETIMEDOUT, "Connection timed out")

        def settimeout(self, timeout_s: float | None) -> None:
            pass

        def close(self) -> None:
            pass

    carrier = GuardedCarrier(TimedOut(), stall_s=60)

    with pytest.raises(ConnectionAbortedError):
        carrier.send(b"x")
    with pytest.raises(ConnectionAbortedError):
        carrier.recv(1)


def test_closing_wakes_a_receiver() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        carrier = GuardedCarrier(ours, stall_s=60)
        carrier.settimeout(60)

        def receive() -> None:
            with suppress(OSError):
                carrier.recv(1)

        reader = threading.Thread(target=receive)
        reader.start()
        carrier.close()
        reader.join(10)

        assert not reader.is_alive()


class TestProxyProcess:
    def test_is_run_by_a_shell_and_carries_bytes_both_ways(self) -> None:
        proxy = ProxyProcess("cat | tr a-z A-Z")
        proxy.socket.settimeout(10)
        proxy.socket.sendall(b"hello")
        proxy.socket.shutdown(socket.SHUT_WR)

        assert proxy.socket.recv(5) == b"HELLO"
        proxy.close()
        proxy.close()

    def test_that_fails_leaves_its_last_words(self) -> None:
        proxy = ProxyProcess("sh -c 'echo first >&2; echo the reason >&2; exit 3'")

        assert proxy.last_words() == "the reason"
        proxy.close()

    def test_that_fails_in_silence_leaves_its_status(self) -> None:
        proxy = ProxyProcess("sh -c 'exit 3'")

        assert proxy.last_words() == "it ended with status 3"
        proxy.close()

    def test_that_ignores_the_end_of_its_input_is_ended(self) -> None:
        proxy = ProxyProcess("sleep 60")

        assert proxy.last_words() == ""
        proxy.close()
