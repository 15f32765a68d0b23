"""Keep runs and measurements in SQLite or PostgreSQL, by one schema. Rows become domain values at this edge."""
