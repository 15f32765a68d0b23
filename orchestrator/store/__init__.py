"""Keep what was measured: rows and domain values, SQLite or PostgreSQL, one schema."""
