"""Where device sessions run: `threads` in this process, `ray` in gateway actors."""
