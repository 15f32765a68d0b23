"""Find what is wrong with an installation."""
