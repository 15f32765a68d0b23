"""Join a Ray cluster, or start one, and explain why that fails."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.domain.errors import RayUnavailable

OBJECT_STORE_BYTES = 100 << 20
JOIN_HINT = "check --ray-address; a cluster that wants a token needs RAY_AUTH_MODE=token, as `ray status` does"
LOCAL = "local"
_SAID_CHARACTERS_MAX = 300
_START_HINTS = (
    ("Version mismatch", "install the cluster's versions of Ray and of Python beside benchfleet"),
    ("AF_UNIX path", "name a shorter folder: RAY_TMPDIR=/tmp/ray-of-mine"),
    ("Permission denied", "name a folder of yours for Ray's files: RAY_TMPDIR=DIR"),
    ("No space left", "free some space in Ray's folder (RAY_TMPDIR, else /tmp) and in /dev/shm"),
)
"""What the words of a failed start call for."""
_JOINING = threading.Lock()
"""Held while the process joins: two threads that join at once would wait for each other inside of Ray."""


def join_cluster(address: str | None) -> tuple[Any, bool]:
    """Join the cluster at an address, or start a local one. Return Ray, and whether the process joined just now.

    Raise RayUnavailable where Ray is missing, or does not answer.
    """
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # gateways run in this very environment
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        if error.name != "ray":  # Ray is there, and something that Ray needs is not, or does not load
            again = "repair it: pip install --force-reinstall 'benchfleet[ray]'"
            raise RayUnavailable(f"Ray cannot be imported: {first_line(error)}", again) from error
        raise RayUnavailable("Ray is not installed", "pip install 'benchfleet[ray]'") from error
    with _JOINING:
        if ray.is_initialized():
            return ray, False
        _keep_quiet(ray)
        _init(ray, address)
    return ray, True


def _keep_quiet(ray: Any) -> None:
    """Keep Ray from writing among the lines of a command: what concerns a command is in an error of its own."""
    # Else Python writes Ray's warnings to stderr, such as that a thread handles no signals.
    logging.getLogger("ray").addHandler(logging.NullHandler())
    # Ray prints the end of each raylet with the last lines of its log to stdout, between a command's JSON, whatever
    # `log_to_driver` says. The switch is Ray's own for its debugger; a release without it prints.
    ray._private.worker._worker_logs_enabled = False


def _init(ray: Any, address: str | None) -> None:
    local = {} if address else {"num_cpus": 1, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        with _keeping_sigterm():
            ray.init(
                # By name: without an address Ray joins what RAY_ADDRESS or a note of `ray start` names, dead or alive.
                address=address or LOCAL,
                include_dashboard=None if address else False,
                configure_logging=False,
                log_to_driver=False,
                **local,
            )
    except Exception as error:  # Ray has no class of its own for a node that takes too long to start
        raise _explain_start(error, address) from error


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Have SIGTERM do after the context what it did before."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        # Ray takes SIGTERM in the main thread, prints a native stack and exits 15: a daemon that a service manager
        # stops would have failed, and would not give its run back.
        if threading.current_thread() is threading.main_thread() and before is not None:
            signal.signal(signal.SIGTERM, before)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's words, or the name of the error's class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _explain_start(error: BaseException, address: str | None) -> RayUnavailable:
    """Return the error of a cluster that does not start, or cannot be joined."""
    said = " ".join(str(error).split())
    usual = JOIN_HINT if address else "has this machine memory and processors to spare for Ray?"
    hint = next((remedy for words, remedy in _START_HINTS if words in said), usual)
    words = said[:_SAID_CHARACTERS_MAX] if hint != usual else first_line(error)
    return RayUnavailable(f"Ray does not answer at {address or 'a local cluster'}: {words}", hint)
