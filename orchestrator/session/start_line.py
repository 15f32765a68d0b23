"""Write the command that starts the worker, as words that every login shell passes on unchanged.

csh ends a quoted word at a newline, takes `!` for its history, and refuses words of 1,024 characters. nushell, xonsh
and PowerShell read quotes in ways of their own. The loader therefore travels as Base64, in short words.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

_BOOT = (
    # As the loader does itself: a module of the login folder must not be imported.
    "import sys;sys.path[:]=[p for p in sys.path if p];"
    # In words that Python 2.6 understands too, so that the loader can say that a Python is too old.
    "import binascii;exec(binascii.a2b_base64(str().join(sys.argv[4:]).encode()))"
    # Processes of the device are known for a worker by this word (device_worker/system/trial_mark.py).
    "#benchfleet-loader"
)
_WORD_CHARACTERS_MAX = 900


def start_line(python: str, loader: str, arguments: Sequence[str]) -> list[str]:
    """Return the argument vector that runs the loader's source with three arguments."""
    packed = base64.b64encode(loader.encode()).decode()
    pieces = [packed[at : at + _WORD_CHARACTERS_MAX] for at in range(0, len(packed), _WORD_CHARACTERS_MAX)]
    # -E and -s: no variable and no package of the device's user may change what the worker imports.
    return [python, "-E", "-s", "-c", _BOOT, *arguments, *pieces]
