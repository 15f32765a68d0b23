"""Frozen values and pure functions that every other part speaks in; the standard library alone."""
