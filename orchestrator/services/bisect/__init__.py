"""Find the first bad candidate of a list, by interleaved reruns on the device of a regression."""
