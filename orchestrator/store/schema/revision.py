"""Name the schema of this version. A module of its own, to be read without importing SQLAlchemy or alembic."""

HEAD = "0014"
"""The newest revision in `migrations/versions`; a test compares."""
