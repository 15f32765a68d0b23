"""Draw results as tables for people."""
