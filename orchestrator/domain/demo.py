"""Describe the made-up year of a lab, for an empty database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """Ask for a made-up history. Each device measures `series` cells every night. Equal seeds give equal figures."""

    devices: int = 20
    series: int = 30
    nights: int = 365
    seed: int = 1


@dataclass(frozen=True, slots=True)
class DemoFilled:
    """Hold a filled database. `database` is the URL without the password."""

    database: str
    request: DemoRequest
    runs: int
    attempts: int
