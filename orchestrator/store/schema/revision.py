"""Name the schema of the code, in a separate module, to be read without importing SQLAlchemy or alembic."""

HEAD = "0034"
"""The newest revision in `migrations/versions`; a test compares."""
