"""Run nights: canaries, first look, second look, confirmation, and the verdicts on cells."""
