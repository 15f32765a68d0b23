from __future__ import annotations

import pytest

from orchestrator.domain.metric import ABOUT, ALIASES, METRICS, Direction, Unit, is_registered, metric_named


def test_every_alias_leads_to_a_registered_metric() -> None:
    assert set(ALIASES.values()) <= set(METRICS)
    assert not set(ALIASES) & set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_a_registered_metric_has_the_unit_that_its_name_ends_in(name: str) -> None:
    """People read the unit off the name, in SQL above all."""
    words = [word for word in name.split("_") if word not in ("max", "min", "mean", "idle", "gross")]
    units = {unit.value: unit for unit in Unit}
    said = next((units[word] for word in reversed(words) if word in units), None)
    if name.endswith("_per_s"):
        said = Unit.PER_SECOND
    assert METRICS[name].unit is said or (said is None and METRICS[name].unit in (Unit.NUMBER, Unit.RATIO))
    assert 0 < METRICS[name].min_effect < 1


@pytest.mark.parametrize("name", METRICS)
def test_a_registered_metric_says_what_it_is(name: str) -> None:
    assert ABOUT[name].endswith(".")


def test_latency_means_nanoseconds_of_which_fewer_are_better() -> None:
    metric = metric_named("latency")

    assert (metric.name, metric.unit, metric.direction, metric.min_effect) == (
        "latency_ns",
        Unit.NANOSECONDS,
        Direction.LOWER,
        0.01,
    )


@pytest.mark.parametrize(
    ("name", "unit", "direction"),
    [
        ("tokenize_ns", Unit.NANOSECONDS, Direction.LOWER),
        ("heap_bytes_max", Unit.BYTES, Direction.LOWER),
        ("radio_mj", Unit.MILLIJOULES, Direction.LOWER),
        ("cache_hit_ratio", Unit.RATIO, Direction.NONE),
        ("die_c_max", Unit.CELSIUS, Direction.NONE),
        ("accuracy_top3", Unit.RATIO, Direction.HIGHER),
        ("frames", Unit.NUMBER, Direction.NONE),
        ("ns", Unit.NUMBER, Direction.NONE),
        ("", Unit.NUMBER, Direction.NONE),
    ],
)
def test_an_unknown_metric_says_its_unit_by_its_ending(name: str, unit: Unit, direction: Direction) -> None:
    metric = metric_named(name)

    assert (metric.name, metric.unit, metric.direction) == (name, unit, direction)
    assert not is_registered(name)
