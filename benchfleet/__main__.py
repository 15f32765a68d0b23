"""Run the `benchfleet` command as `python -m benchfleet`."""

from orchestrator.__main__ import main

if __name__ == "__main__":
    main()
