"""Write the references of the files that people write: a page of every key, and JSON Schemas for editors."""
