"""What many histories came to: a line for each combination, what was wrong, and the sum."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tests.chaos.history import Account
from tests.chaos.schedule import Case, Fault, Phase

_HEADING = ("phase", "fault", "histories", "struck", "outcome", "resumes", "recovery_s")


@dataclass(frozen=True, slots=True)
class Line:
    """One history as the driver's processes tell each other of it."""

    index: int
    phase: str
    fault: str
    rival: str
    hit: bool
    outcome: str
    resumes: int
    recovery_s: float
    left_on_disk: Sequence[str]
    folder: str
    lost: Sequence[str]
    doubled: Sequence[str]
    overlapped: Sequence[str]
    left_running: Sequence[str]

    @classmethod
    def of(cls, account: Account, folder: str) -> Line:
        """Return the line of a history that was judged."""
        case, verdict = account.case, account.verdict
        return cls(
            case.index, case.phase, case.fault, case.rival, account.hit, account.outcome, account.resumes,
            round(account.recovery_s, 1), account.left_on_disk, folder,
            verdict.lost, verdict.doubled, verdict.overlapped, verdict.left_running,
        )  # fmt: skip

    @classmethod
    def unjudged(cls, case: Case, folder: str, why: str) -> Line:
        """Return the line of a history of which nobody knows what became of its trials: that is a loss."""
        return cls(
            case.index, case.phase, case.fault, case.rival, False, "not judged", 0, 0.0, (), folder, (why,), (), (), ()
        )

    @classmethod
    def from_json(cls, text: str) -> Line:
        """Return the line that a process wrote."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return the line for another process."""
        return json.dumps(asdict(self))

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong with the history."""
        return not (self.lost or self.doubled or self.overlapped or self.left_running)

    def summary(self) -> str:
        """Return what the history was, in a line."""
        struck = "" if self.hit else ", too late"
        return (
            f"{self.fault} at {self.phase}{struck} (rival: {self.rival}), {self.outcome},"
            f" {self.resumes} resumed, {self.recovery_s} s" + self._left_on_disk
        )

    @property
    def _left_on_disk(self) -> str:
        return f", a log left on {'; '.join(self.left_on_disk)}" if self.left_on_disk else ""

    def complaint(self, seed: int, kind: str) -> str:
        """Return what is wrong, where its folder is, and how it is had again."""
        found = [
            f"  {name}: {text}"
            for name in ("lost", "doubled", "overlapped", "left_running")
            for text in getattr(self, name)
        ]
        again = f"python -m tests.chaos --seed {seed} --db {kind} --index {self.index}"
        return (
            "\n".join([f"history {self.index}: {self.summary()}", *found, f"  kept in {self.folder}; again: {again}"])
            + "\n"
        )


def table(lines: Sequence[Line]) -> str:
    """Return a line for each phase and fault: how often, how often it struck there, and how it ended."""
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.phase, line.fault].append(line)
    order = sorted(groups, key=lambda key: (list(Phase).index(Phase(key[0])), list(Fault).index(Fault(key[1]))))
    rows = [_HEADING, *(_row(key, groups[key]) for key in order)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADING))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )


def _row(key: tuple[str, str], lines: Sequence[Line]) -> tuple[str, ...]:
    wrong = sum(not line.is_clean for line in lines)
    outcomes = Counter(line.outcome for line in lines)
    outcome = ", ".join(f"{text} x{times}" if times > 1 else text for text, times in sorted(outcomes.items()))
    return (
        *key,
        str(len(lines)),
        str(sum(line.hit for line in lines)),
        f"WRONG {wrong}: {outcome}" if wrong else outcome,
        str(max(line.resumes for line in lines)),
        f"{max(line.recovery_s for line in lines):.1f}",
    )


def last_line(lines: Sequence[Line]) -> str:
    """Return the sum that the exit code stands for."""
    lost, doubled, overlapped, left = (
        sum(len(getattr(line, name)) for line in lines) for name in ("lost", "doubled", "overlapped", "left_running")
    )
    return f"histories {len(lines)} lost {lost} doubled {doubled} overlapped {overlapped} left-running {left}"
