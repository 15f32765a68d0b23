"""Keep runs and measurements in SQLite or PostgreSQL, by a single schema. Rows become domain values at the edge."""
