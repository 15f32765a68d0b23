"""Make the variants of a model as a YAML recipe says.

This package runs in a process of its own: its imports are heavy.
"""
