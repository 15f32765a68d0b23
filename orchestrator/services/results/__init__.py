"""Compare measured results."""
