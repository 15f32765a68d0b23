"""Plan for a device: admit cells, order trials, write and read the shipped document."""
