"""Check and convert single values on the way to and from rows."""
