"""The program that runs on devices: standard library alone, Python 3.7 syntax, shipped as one zipapp."""
