"""Serve the lab's page: routes are thin, and everything shown comes from the services and reports of the command."""
