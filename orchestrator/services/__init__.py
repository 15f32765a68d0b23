"""Offer one use case per module: the meaning of a command, without typing and printing."""
