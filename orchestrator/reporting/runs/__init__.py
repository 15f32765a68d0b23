"""Draw runs as pages."""
