"""The schema that this version speaks, known without importing what changes it."""

HEAD = "0004"
"""The newest revision in `migrations/versions`; a test compares."""
