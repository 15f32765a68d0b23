"""Make up the year of a lab, for newcomers, examples and pages. No figure of such a year was ever measured."""
