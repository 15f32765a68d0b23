"""Define frozen values and pure functions for all other packages. Only the standard library is imported here."""
