"""Decide the fate of a device of a run: a pure state machine, printed in docs/driving.md."""
