"""The program that runs on devices: standard library alone, Python 3.7 syntax, shipped as one zip.

`loader` becomes the worker, `conversation` answers the controller, `runner` executes a plan in a detached process and
`trial` is one measured process. Starting must be cheap (one per connection, on slow cores): values are plain slotted
classes, since importing dataclasses or typing costs more than the rest of a start, and parts are imported where used.
"""
