"""Answer requests: read the address, ask a service, draw a template."""
