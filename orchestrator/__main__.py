"""`python -m orchestrator` is the `benchfleet` command."""

from orchestrator.cli.app import main

main()
