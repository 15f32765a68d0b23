"""Show a run under way."""
