"""`python -m tests.endurance --minutes 60`: a lab of two sites that is worked for an hour while things go wrong."""

from __future__ import annotations

import sys

from tests.endurance.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
