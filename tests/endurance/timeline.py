"""What has happened, and when: told while it happens, and kept."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TextIO


@dataclass
class Timeline:
    """Lines with the time since the beginning. Several threads may tell."""

    stream: TextIO
    lines: list[tuple[float, str]] = field(default_factory=list)
    _began_s: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def now_s(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._began_s

    def tell(self, words: str) -> None:
        """Tell an event."""
        with self._lock:
            now_s = self.now_s
            self.lines.append((now_s, words))
            self.stream.write(f"{int(now_s // 60):3d}:{now_s % 60:04.1f}  {words}\n")
            self.stream.flush()
