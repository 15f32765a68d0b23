"""Join the Ray cluster of a lab, and know its nodes."""
