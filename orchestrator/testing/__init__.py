"""Offer fakes that pass the same contract suites as the real parts. No fake is used at run time."""
