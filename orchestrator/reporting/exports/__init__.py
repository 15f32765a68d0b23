"""Write exports: tables of measurements and of raw samples, for other programs."""
