"""Reach a device: one small Protocol in `base`, one file per way of getting there."""
