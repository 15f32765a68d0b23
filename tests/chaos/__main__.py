"""`python -m tests.chaos`: many histories, several at a time; `--index N` one of them, kept to be looked at."""

from __future__ import annotations

import sys

from tests.chaos.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
