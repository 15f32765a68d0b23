"""Keep the decisions of people about levels and regressions, and the notes of people."""
