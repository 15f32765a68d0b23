"""Stand in the inventory as a device's `python`: runs the real one, and spoils what the worker says.

How it is spoilt may change at any time: `spoil` and `heal` reach a worker that is talking already.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[2]
SHIM = """\
#!{python}
import sys
sys.path.insert(0, {repository!r})
from tests.servers.spoiled_python import main
main({inner!r}, {ways!r}, sys.argv[1:])
"""
SIGN_S = 0.2
LOADER = "loader"
RECORDS = "records"
Message = dict[str, Any]


class SpoiledPython:
    """A program at `path`. `inner` is the interpreter that it runs.

    A way is a name of WAYS, or `name:type` for messages of that type alone; `loader` is the type of what comes before
    the first message.
    """

    def __init__(self, path: Path, inner: str = sys.executable) -> None:
        self.path = path
        self._ways = path.with_name(path.name + ".way")
        words = {"python": sys.executable, "repository": str(REPOSITORY), "inner": inner, "ways": str(self._ways)}
        path.write_text(SHIM.format(**words))
        path.chmod(0o755)

    def spoil(self, way: str) -> None:
        """Spoil what is said from now on."""
        partial = self._ways.with_suffix(".partial")
        partial.write_text(way)
        partial.rename(self._ways)

    def heal(self) -> None:
        """Pass on what the worker says, from now on."""
        self._ways.unlink(missing_ok=True)


def main(inner: str, ways: str, arguments: Sequence[str]) -> None:
    """Run the interpreter, and pass on what it prints."""
    worker = subprocess.Popen([inner, *arguments], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    voice = Voice(Path(ways))
    for kind, message, data in said(worker.stdout):
        voice.pass_on(kind, message, data)
    sys.exit(worker.wait())


def said(stream: IO[bytes]) -> Iterator[tuple[str, Message, bytes]]:
    """Yield each message with its payload; a line that is no message is of type `loader`."""
    while line := stream.readline():
        if not line.startswith(b"{"):
            yield LOADER, {}, line
            continue
        message = json.loads(line)
        size = message.pop("payload_bytes", 0)
        yield message["type"], message, stream.read(size) if size else b""


class Voice:
    """Says what the way of the moment makes of a message."""

    def __init__(self, ways: Path) -> None:
        self._ways = ways
        self._out = sys.stdout.buffer
        self._added = 0
        self.last_seq = 0

    def pass_on(self, kind: str, message: Message, data: bytes) -> None:
        name, _, only = self._way().partition(":")
        spoil = WAYS.get(name) if only in ("", kind) else None
        if spoil is None or not spoil(self, kind, message, data):
            self.say(kind, message, data)

    def goes_on(self, name: str) -> bool:
        """Say whether the way is still the same."""
        return self._way().partition(":")[0] == name

    def say(self, kind: str, message: Message, data: bytes) -> None:
        self.write(encoded(kind, message, data))

    def write(self, data: bytes) -> None:
        self._out.write(data)
        self._out.flush()

    def _way(self) -> str:
        try:
            return self._ways.read_text()
        except FileNotFoundError:
            return ""


def encoded(kind: str, message: Message, data: bytes) -> bytes:
    if kind == LOADER:
        return data
    return json.dumps({**message, **({"payload_bytes": len(data)} if data else {})}).encode() + b"\n" + data


def frame(event: Message) -> bytes:
    body = json.dumps(event, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x %d %s\n" % (zlib.crc32(body), len(body), body)


def events_of(data: bytes) -> list[Message]:
    return [json.loads(line.split(b" ", 2)[2]) for line in data.splitlines()]


def drip(voice: Voice, kind: str, message: Message, data: bytes) -> bool:
    """Say one byte a second."""
    for byte in encoded(kind, message, data):
        if voice.goes_on("drip"):
            time.sleep(1.0)
        voice.write(bytes([byte]))
    return True


def stand_still(voice: Voice, kind: str, message: Message, data: bytes) -> bool:
    """Give signs of life in the place of records."""
    if kind not in (RECORDS, "follow-ended"):
        return False
    while voice.goes_on("stand-still"):
        voice.say("alive", {"type": "alive"}, b"")
        time.sleep(SIGN_S)
    return False


def flood_signs(voice: Voice, kind: str, message: Message, data: bytes) -> bool:
    """Give signs of life as fast as they are taken."""
    if kind != RECORDS:
        return False
    sign = encoded("alive", {"type": "alive"}, b"") * 1000
    while voice.goes_on("flood-signs"):
        voice.write(sign)
    return False


def flood_again(voice: Voice, kind: str, message: Message, data: bytes) -> bool:
    """Say the same records again and again."""
    if kind != RECORDS:
        return False
    while voice.goes_on("flood-again"):
        voice.say(kind, message, data)
    return False


@lru_cache
def _samples(count: int) -> Message:
    data = zlib.compress(bytes(4 * count), 9)
    block = {"codec": "u32-shuffle-zlib", "count": count, "crc32": zlib.crc32(data)}
    return {**block, "data": base64.b64encode(data).decode()}


def _with_samples(data: bytes, metrics: int, count: int) -> list[Message]:
    events = events_of(data)
    heavy = [{"name": f"spoilt_{number}_ns", "batch": 1, "samples": _samples(count)} for number in range(metrics)]
    return [{**event, "metrics": heavy} if event["kind"] == "trial-finished" else event for event in events]


def bomb(voice: Voice, kind: str, message: Message, data: bytes) -> bool:
    """Give each result 300 metrics of four million samples: more than any honest device may."""
    if kind != RECORDS:
        return False
    voice.say(kind, message, b"".join(map(frame, _with_samples(data, 300, 4_000_000))))
    return True


def flood_heavy(voice: Voice, kind: str, message: Message, data: bytes) -> bool:
    """Give results of as many samples as are allowed, and repeat the last one under new numbers without end."""
    if kind != RECORDS:
        return False
    events = _with_samples(data, 2, 4_000_000)
    voice.say(kind, message, b"".join(map(frame, events)))
    if events[-1]["kind"] != "trial-finished":
        return True
    event, seq = events[-1], message["last_seq"]
    while voice.goes_on("flood-heavy"):
        seq += 1
        numbered = {**message, "first_seq": seq, "last_seq": seq}
        voice.say(kind, numbered, frame({**event, "seq": seq, "attempt": event["attempt"] + seq}))
    return True


WAYS: dict[str, Callable[[Voice, str, Message, bytes], bool]] = {
    "drip": drip,
    "stand-still": stand_still,
    "flood-signs": flood_signs,
    "flood-again": flood_again,
    "bomb": bomb,
    "flood-heavy": flood_heavy,
}
"""Each returns True if the message is said, in whatever way."""
