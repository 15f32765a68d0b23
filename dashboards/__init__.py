"""Draw what reads the database from one set of questions: the SQL cookbook, and Datasette's saved queries."""
