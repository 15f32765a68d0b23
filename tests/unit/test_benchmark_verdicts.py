"""The benchmark of verdicts runs, and tells a kept bound from a missed one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks import looks_back
from benchmarks.figures import Figure
from benchmarks.moved_devices import movement_figures
from benchmarks.pairs import KINDS, advice_figures, compare_figures, draw, stopping_figures
from benchmarks.verdicts import WORLDS, _nights

pytestmark = pytest.mark.system  # slow, and no part of the quick loop


@pytest.mark.parametrize(
    ("value", "at_most", "at_least", "kept"),
    [(1.0, 2.0, None, True), (3.0, 2.0, None, False), (1.0, None, 2.0, False), (0.95, 0.97, 0.93, True)],
)
def test_a_bound_is_kept_from_either_side(
    value: float, at_most: float | None, at_least: float | None, kept: bool
) -> None:
    figure = Figure("x", value, "", at_most=at_most, at_least=at_least)

    assert figure.kept is kept
    assert figure.bound.endswith("ok" if kept else "MISSED")


def test_a_figure_without_a_bound_only_informs() -> None:
    assert Figure("x", 5.0, "").kept
    assert Figure("x", 5.0, "").bound == ""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_noise_differs_from_the_plain_one(kind: str) -> None:
    plain = draw(np.random.default_rng(1), "iid", (200, 2, 5))

    assert (kind == "iid") == np.array_equal(draw(np.random.default_rng(1), kind, (200, 2, 5)), plain)


def test_every_part_of_the_benchmark_returns_figures_that_are_numbers() -> None:
    figures = [
        *compare_figures(1, 24),
        *movement_figures(1, 8),
        *advice_figures(1, 3),
        *stopping_figures(1, 3),
        *_nights(WORLDS[0], 1, 30),
        *looks_back.step_figures(1, 4, with_peers=False),
    ]

    assert len({figure.name for figure in figures}) == len(figures)
    assert all(math.isfinite(figure.value) for figure in figures)


def test_labelled_series_are_scored_within_a_few_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    random = np.random.default_rng(2)
    for name, step in (("a.csv", 1.1), ("b.csv", 1.0)):
        values = random.normal(100, 0.5, 80) * np.where(np.arange(80) >= 40, step, 1.0)
        rows = "".join(f"{index},build,{value}\n" for index, value in enumerate(values, 1))
        (tmp_path / "data" / name).write_text("Index,GHC,Measurement\n" + rows)
    (tmp_path / "dataset_details.csv").write_text("Type;Dataset;Change Point\nregression;a.csv;41\nStable;b.csv;0\n")
    monkeypatch.setenv(looks_back.SAP, str(tmp_path))

    assert [figure.value for figure in looks_back.sap_figures(with_peers=False)] == [1, 0]


def test_without_the_labelled_series_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(looks_back.SAP, raising=False)

    assert looks_back.sap_figures(with_peers=False) == []
    assert looks_back.SAP in capsys.readouterr().out
