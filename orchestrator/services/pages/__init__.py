"""Compose the content of pages from the read-only queries of page, command line and reports alike."""
