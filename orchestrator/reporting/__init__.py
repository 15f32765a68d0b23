"""Show runs while they go on, and write results for people and for programs."""
