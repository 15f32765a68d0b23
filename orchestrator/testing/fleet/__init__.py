"""Simulate a fleet: an SSH server that is thousands of devices, each of which speaks the worker's protocol.

No trial runs. Logs, figures and facts are made up, and named so. The controller is the real one, and so are the
handshakes, the protocol, the records and their checksums. asyncssh is needed, which only development installs.
"""
