"""Carry out a plan, detached from the controller: a process for each trial, a record for each event."""
