"""Give the command's name to `python -m benchfleet`. The code is in `orchestrator` and `device_worker`."""
