"""Compose what pages show, from one read-only model of queries that page, command line and reports share."""
