"""Break everything at every step of a run, by a seeded schedule, and check from outside that nothing was lost."""
