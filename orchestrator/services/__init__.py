"""One use case per module: what a command means, without how it is typed or printed."""
