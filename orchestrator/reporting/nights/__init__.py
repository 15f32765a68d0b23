"""Say what a night found, for terminals, pages, digests and messages."""
