"""Compute statistics over arrays. Nothing here reads or writes."""
