"""Write the references of the files that people write, and of metrics: pages, and JSON Schemas for editors."""
