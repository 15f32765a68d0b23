"""Watch the conditions of a valid trial. Each condition has a module, and `table` lists all conditions."""
