"""Start, pick up, plan and show runs."""
