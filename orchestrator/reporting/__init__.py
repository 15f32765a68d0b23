"""Show runs under way, and write results for people and for programs."""
