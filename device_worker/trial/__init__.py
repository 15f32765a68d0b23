"""Measure a trial in a process of its own."""
