"""Fakes that pass the same contract suites as the real parts; never used at run time."""
