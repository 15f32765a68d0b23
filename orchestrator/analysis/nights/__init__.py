"""Take the cells of a night through the stages, purely: to the next measurement, or to the conclusions."""
