"""How many examples a property is tried on: few in the quick loop (`make check`), all of them in `make test`."""

from hypothesis import settings

_QUICK_PERCENT = 25

# Without a deadline: what takes long on a machine that is busy with other things is no defect.
settings.register_profile("quick", max_examples=_QUICK_PERCENT, deadline=None)
settings.register_profile("thorough", deadline=None)
settings.load_profile("thorough")


def examples(thorough: int) -> int:
    """Return how many of the examples that a test wants by itself it gets now; one that says nothing wants 100."""
    return max(1, thorough * settings().max_examples // 100)
