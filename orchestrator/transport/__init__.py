"""Reach devices. `base` defines a transport, and each kind of transport has a file or folder of its own."""
