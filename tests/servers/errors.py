"""What goes wrong with a test server before a test can use it."""


class ServerUnavailable(Exception):
    """The server's program isn't installed, or it didn't start; the message says which and what to do."""
