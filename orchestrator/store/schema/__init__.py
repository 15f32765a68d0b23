"""Define tables and views, and upgrade databases to the present schema."""
