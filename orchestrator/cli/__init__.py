"""Typer commands, a module per noun: parse, call one service, print, exit."""
