"""Load and validate inventory files."""
