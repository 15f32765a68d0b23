"""Show a run while it goes on."""
