"""The schema that this version speaks, known without importing what changes it."""

HEAD = "0003"
"""The newest revision in `migrations/versions`; a test compares."""
