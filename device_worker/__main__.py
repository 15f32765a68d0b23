"""Run the worker as a program: `python -m device_worker`, a zipapp, or `__main__.py` by path."""

import os
import sys

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [os.path.dirname(_PACKAGE)] + [entry for entry in sys.path if entry not in ("", _PACKAGE)]

sys.dont_write_bytecode = True  # main() allows bytecode again, once keep_whole_bytecode() guards every write
from device_worker.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
