"""Run the `benchfleet` command, also as `python -m orchestrator`."""

import atexit
import gc
import os
import sys

from device_worker.bytecode import keep_whole_bytecode


def main() -> None:
    """Run the command. Ctrl-C is an ordinary end from the first moment on, during the imports too."""
    try:
        keep_whole_bytecode()  # a full disk would else break this installation for good
        if "_BENCHFLEET_COMPLETE" in os.environ:  # a person waits for a key: without the imports below
            from orchestrator.cli.completing import complete_name

            if complete_name():
                return
        if "_BENCHFLEET_REMEMBER" in os.environ:  # started by a completion, for the next one
            from orchestrator.cli.known_names import remember_names

            remember_names()
            return
        from orchestrator.cli.app import main as run_command
    except KeyboardInterrupt:
        os.write(2, b"error: interrupted\n")
        sys.exit(3)
    atexit.register(gc.freeze)  # else Python ends by looking for garbage among all that was imported
    run_command()


if __name__ == "__main__":
    main()
