"""Run benchmarks by name: `python -m benchmarks fidelity ingest [--json]`; exits 1 where a bound is missed."""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks.figures import print_figures

NAMES = (
    "exports",
    "fidelity",
    "fanout",
    "fleet",
    "ingest",
    "lookups",
    "pages",
    "power",
    "queries",
    "repeats",
    "scenarios",
    "startup",
    "verdicts",
    "wakeup",
)


def main() -> int:
    """Run each named benchmark and print its figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="try verdicts, repeats or scenarios on few cells: the figures then say little",
    )
    parser.add_argument(
        "--size", type=float, default=1.0, metavar="N", help="simulate N times as many cells for verdicts"
    )
    arguments = parser.parse_args()
    if arguments.size <= 0 or (arguments.size != 1 and arguments.names != ["verdicts"]):
        parser.error("--size is a number above 0, for verdicts alone")
    if arguments.quick and not set(arguments.names) <= {"repeats", "scenarios", "verdicts"}:
        parser.error("--quick is for repeats, scenarios and verdicts alone")
    kept = True
    for name in arguments.names:
        module = importlib.import_module(f"benchmarks.{name}")
        options = {"quick": True} if arguments.quick else {"size": arguments.size} if name == "verdicts" else {}
        kept &= print_figures(name, module.measure(**options), arguments.json)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
