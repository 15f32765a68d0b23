"""Use cases of the queue: submit runs, carry them out, and look at what waits."""
