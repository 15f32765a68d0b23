"""Read the database without the import time and without the rights of the whole store."""
