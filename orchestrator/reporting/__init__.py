"""Draw results for people: tables on a console, and the same as JSON."""
