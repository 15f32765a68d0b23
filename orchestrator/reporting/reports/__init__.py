"""Declare the results of commands: keys, rows, drawings and test cases."""
