"""Open SQLite and PostgreSQL databases, and hide the differences between the two."""
