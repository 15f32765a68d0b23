"""Take the cells of a night through the stages, purely: what to measure next, and what to conclude."""
