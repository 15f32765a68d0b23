"""Lay out a new lab."""
