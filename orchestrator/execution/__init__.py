"""Run device sessions: `threads` in this process, `ray` in gateway actors."""
