"""The controller: plan sweeps, reach devices, follow their logs, keep and compare what they measured."""

__version__ = "0.1.0"
