"""The command line: a lab for so many minutes, its timeline while it happens, and a verdict."""

from __future__ import annotations

import argparse
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.endurance.drive import Account, Drive
from tests.endurance.room import Room
from tests.endurance.timeline import Timeline
from tests.endurance.timetable import LONG_MINUTES, draw

LEASE_S, SHORT_LEASE_S = 15.0, 5.0


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments ask for; 0 if everything submitted is complete, and nothing was lost or doubled."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(128 + signal.SIGTERM))  # and so close everything
    options = _options(arguments)
    folder = Path(tempfile.mkdtemp(prefix="benchfleet-endurance-")) if options.folder is None else options.folder
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # PostgreSQL's user has to get in
    timetable = draw(options.seed, options.minutes)
    timeline = Timeline(sys.stdout)
    timeline.tell(f"endurance: {options.minutes:g} minutes, --seed {options.seed}, in {folder}")
    room = Room(folder, timetable, LEASE_S if options.minutes >= LONG_MINUTES else SHORT_LEASE_S)
    try:
        room.begin()
        timeline.tell(f"eight boards at two sites, and two daemons, at {room.raylets.address}")
        account = Drive(room, timetable, timeline, options.drain_s).execute()
        said = room.daemons_said()
    finally:
        room.close()
    sys.stdout.write(told(account, said))
    if account.is_clean and options.folder is None:
        shutil.rmtree(folder)
    return 0 if account.is_clean else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="for how long people submit (60)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="draws the timetable")
    parser.add_argument("--drain-s", type=float, default=900.0, help="how long the queue may take to be empty (900)")
    parser.add_argument("--folder", type=Path, help="where the lab lies, which is then kept")
    return parser.parse_args(arguments)


def told(account: Account, said: Sequence[tuple[str, str]]) -> str:
    """Return what the daemons said, what is wrong, and the verdict in one line."""
    verdict, wrongs = account.verdict, account.wrongs
    lines = [f"{name}: {line}" for name, text in said for line in text.splitlines()]
    lines += [f"LOST {line}" for line in verdict.lost]
    lines += [f"DOUBLED {line}" for line in verdict.doubled]
    lines += [f"OVERLAPPED {line}" for line in verdict.overlapped]
    lines += [f"LEFT RUNNING {line}" for line in verdict.left_running]
    lines += [f"WRONG {line}" for line in wrongs.lines]
    lines += [f"NOT STRUCK {line}" for line in account.unstruck]
    lines += [f"NOT FINISHED {line}" for line in account.unfinished]
    counts = {
        "submissions": account.submissions,
        "trials": account.trials,
        "moments": account.moments,
        "gave-way": account.gave_way,
        "lost": len(verdict.lost),
        "doubled": len(verdict.doubled),
        "overlapped": len(verdict.overlapped),
        "left-running": len(verdict.left_running),
        "incomplete": len(wrongs.incomplete),
        "wrong-moments": len(wrongs.moments),
        "broken-windows": len(wrongs.windows),
        "wrong-shares": len(wrongs.shares),
        "not-struck": len(account.unstruck),
        "not-finished": len(account.unfinished),
    }
    return "\n".join([*lines, " ".join(f"{name} {count}" for name, count in counts.items())]) + "\n"
