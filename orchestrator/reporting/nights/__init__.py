"""Put the findings of a night into words, for terminals, pages, digests and messages."""
