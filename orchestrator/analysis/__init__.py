"""Compute statistics over arrays, without reading or writing."""
