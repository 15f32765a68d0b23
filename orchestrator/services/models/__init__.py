"""Build and verify models."""
