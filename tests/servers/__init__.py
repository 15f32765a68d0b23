"""Real servers on loopback, for tests to drive: OpenSSH, PostgreSQL and a link that can be cut."""
