"""Probe, enroll, clean and reserve devices."""
