"""Score the search for steps in histories, beside Apache Otava and asv on the same series."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure
from orchestrator.analysis.steps import find_steps

Floats = NDArray[np.float64]
Search = Callable[[Floats], list[list[int]]]

PEERS = Path(__file__).with_name("peers")
PEERS_ENVIRONMENT = Path(__file__).parents[1] / ".cache" / "peers"
SAP = "BENCHFLEET_SAP_SMALL"
MIN_EFFECT, CV, NIGHTS = 0.02, 0.02, 90
NEAR = 5
"""How many points a labelled regression may be missed by."""


def ours(series: Floats) -> list[list[int]]:
    """Return the nights on which each series of logarithms stepped up."""
    return [[step.night for step in steps if step.change > 0] for steps in find_steps(series, MIN_EFFECT)]


def peer(detector: str) -> Search:
    """Return another tool's search, run in the environment of `benchmarks/peers`."""

    def search(series: Floats) -> list[list[int]]:
        rows = [np.exp(row[~np.isnan(row)]).tolist() for row in series]
        asked = json.dumps({"detector": detector, "min_effect": MIN_EFFECT, "series": rows})
        command = [str(PEERS_ENVIRONMENT / "bin" / "python"), str(PEERS / "detect.py")]
        answer = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
        found: list[list[int]] = json.loads(answer.stdout)
        return found

    return search


def prepare_peers() -> bool:
    """Install the peers' environment from its lock file. Return False, and say so, where that fails."""
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(PEERS_ENVIRONMENT)}
    command = [_uv(), "sync", "--quiet", "--locked", "--project", str(PEERS)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except OSError as error:
        print(f"no peers: uv cannot be run ({error})")
        return False
    if done.returncode:
        print(f"no peers: {done.stderr.strip()[-200:]}")
    return done.returncode == 0


def _uv() -> str:
    """Return uv as this environment has it, else as the PATH has."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def nights(random: np.random.Generator, kind: str, series: int, count: int) -> Floats:
    """Return nightly values, medians of five trials: `iid`, `spiky`, or `ar`, which wanders with a memory of 0.6."""
    logs: Floats = random.normal(0, CV / math.sqrt(5), (series, count))
    if kind == "spiky":
        spikes = random.random(logs.shape) < 0.03
        logs = np.where(spikes, logs + np.log1p(random.uniform(0.08, 0.25, logs.shape)), logs)
    if kind == "ar":
        wander = np.zeros(series)
        for night in range(count):
            wander = 0.6 * wander + random.normal(0, 0.8 * CV, series)
            logs[:, night] += wander
    return logs


def step_figures(seed: int, series: int, *, with_peers: bool) -> list[Figure]:
    """Return false steps, asked once and asked every third night, and how soon a step of 5 % is found."""
    tools: dict[str, tuple[Search, int]] = {"ours": (ours, series)}
    if with_peers:
        tools |= {name: (peer(name), max(4, series // 10)) for name in ("otava", "asv")}
    figures = []
    for kind in ("iid", "spiky", "ar"):
        for tool, (search, count) in tools.items():
            calm = nights(np.random.default_rng(seed), kind, count, NIGHTS)
            once, nightly = _false(search, calm)
            figures.append(Figure(f"steps: false series in a look back at {NIGHTS} nights, {kind}, {tool}", once, ""))
            figures.append(Figure(f"steps: false series asked every third night, {kind}, {tool}", nightly, ""))
            stepped = nights(np.random.default_rng(seed + 1), kind, count, 72)
            stepped[:, 60:] += math.log(1.05)
            for after in (5, 12):
                seen = [any(abs(night - 60) <= 1 for night in found) for found in search(stepped[:, : 60 + after])]
                figures.append(
                    Figure(f"steps: 5 % found after {after} nights, {kind}, {tool}", float(np.mean(seen)), "")
                )
    return figures


def peers_of(name: str, calm: Floats) -> list[Figure]:
    """Return in how many series the peers find a step that is none, asked every third night as a nightly job asks."""
    return [
        Figure(f"nights: false series in {calm.shape[1]} nights, {name}, {tool}", _false(peer(tool), calm)[1], "")
        for tool in ("otava", "asv")
    ]


def _false(search: Search, calm: Floats) -> tuple[float, float]:
    looks = list(range(21, NIGHTS + 1, 3))
    # All looks in one call: another tool's start costs more than its search.
    prefixes = np.full((len(looks), *calm.shape), np.nan)
    for index, night in enumerate(looks):
        prefixes[index, :, :night] = calm[:, :night]
    if search is ours:
        answers = [answer for night in looks for answer in search(calm[:, :night])]
    else:
        answers = search(prefixes.reshape(-1, NIGHTS))
    found = np.array([bool(answer) for answer in answers]).reshape(len(looks), len(calm))
    return float(found[-1].mean()), float(found.any(axis=0).mean())


def speed_figure(seed: int) -> Figure:
    """Time a year of 600 series."""
    series = nights(np.random.default_rng(seed), "spiky", 600, 365)
    begun = time.perf_counter()
    ours(series)
    return Figure("steps of 600 series x 365 nights", time.perf_counter() - begun, "s", at_most=10.0)


def sap_figures(*, with_peers: bool) -> list[Figure]:
    """Score the labelled series of SAP's data set "HANA small 2021" in the folder that BENCHFLEET_SAP_SMALL names."""
    folder = os.environ.get(SAP)
    if not folder or not (Path(folder) / "dataset_details.csv").is_file():
        print(f"no SAP figures: {SAP} names no folder with dataset_details.csv and data/ of SAP's HANA small 2021")
        return []
    labelled = _labelled(Path(folder))
    tools: dict[str, Search] = {"ours": ours}
    if with_peers:
        tools |= {name: peer(name) for name in ("otava", "asv")}
    figures = []
    for tool, search in tools.items():
        answers = [(place, search(np.log(values)[None])[0]) for values, place in labelled]
        seen = sum(any(abs(night + 1 - place) <= NEAR for night in found) for place, found in answers if place)
        false = sum(bool(found) for place, found in answers if not place)
        mine = tool == "ours"
        figures.append(Figure(f"SAP small: of 5 regressions, {tool}", seen, "", at_least=5 if mine else None))
        figures.append(Figure(f"SAP small: false of 20, {tool}", false, "", at_most=1 if mine else None))
    return figures


def _labelled(folder: Path) -> Sequence[tuple[Floats, int]]:
    """Return each series with the point of its regression, counted from 1, or 0."""
    with (folder / "dataset_details.csv").open(encoding="utf-8") as file:
        details = list(csv.DictReader(file, delimiter=";"))
    series = []
    for detail in details:
        with (folder / "data" / detail["Dataset"]).open(encoding="utf-8") as file:
            values = np.array([float(row["Measurement"]) for row in csv.DictReader(file)])
        series.append((values, int(detail["Change Point"])))
    return series
