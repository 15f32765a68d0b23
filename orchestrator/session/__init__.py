"""Converse with the worker of one device: probe it, ship to it, start its runner, follow its log."""
