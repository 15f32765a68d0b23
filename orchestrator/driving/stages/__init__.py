"""Decide what becomes of one device of a run: a pure state machine, printed in docs/driving.md."""
