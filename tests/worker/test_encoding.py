"""Numbers for a model's inputs: what a dtype or a quantised input cannot hold is refused, or counted and told."""

import json

import pytest

from device_worker.runner.report_limits import BadReport, check_outputs
from device_worker.trial.encoding import Saturation, encode_plain
from device_worker.trial.proof import without_outputs
from device_worker.trial.runtimes.base import InputRange, InputSlot, LoadFailure

numpy = pytest.importorskip("numpy")

STEP = 2.0 / 255
HELD = InputRange("pixels", "int8", -1.0, 1.0, STEP)


def told(*values, held=HELD):
    """Return the record, and the refusal, of an input that was given rows of numbers."""
    saturation = Saturation([held])
    for row in values:
        saturation.add([numpy.asarray(row, dtype="float32")])
    (one,) = saturation.to_json()
    json.dumps(one, allow_nan=False)
    check_outputs(dict(without_outputs("", "dataset"), input_ranges=[one]))
    return one, saturation.refusal("dataset")


def test_numbers_within_the_range_are_not_counted():
    one, refusal = told([-1.0, 0.0], [0.5, 1.0])
    assert (one["saturated_ratio"], refusal) == (0.0, None)
    assert (one["low"], one["high"], one["data_low"], one["data_high"]) == (-1.0, 1.0, -1.0, 1.0)


def test_what_rounding_makes_of_the_ends_is_not_counted():
    one, refusal = told([-1.0 - 0.9 * STEP, 1.0 + 0.9 * STEP])
    assert (one["saturated_ratio"], refusal) == (0.0, None)


def test_a_few_clipped_numbers_are_told_and_refuse_nothing():
    one, refusal = told([0.5] * 96 + [3.0] * 4)
    assert (one["saturated_ratio"], refusal) == (0.04, None)


@pytest.mark.parametrize(
    "row",
    [
        [0.5] * 5 + [7.0] * 5,  # half of all
        [0.0] * 90 + [0.4] + [9.0] * 9,  # as images and activations: zeros, and almost all others beyond
        [float("nan")] * 10,
    ],
)
def test_a_mostly_clipped_input_refuses_its_outputs(row):
    one, refusal = told(row)
    assert one["saturated_ratio"] >= 0.09
    assert "input 'pixels' (int8) holds -1 to 1, and clips" in refusal
    assert "scale x of the data set" in refusal


def test_a_broken_calibration_of_sparse_images_is_no_refusal():
    """Of digits-int8-badcal: half of the numbers are zeros, and of the others a fifth are within."""
    _, refusal = told([0.0] * 49 + [0.5] * 11 + [2.0] * 40)
    assert refusal is None


def test_numbers_without_an_end_are_beyond_and_are_no_part_of_the_datas_range():
    one, _ = told([0.5, float("inf"), float("-inf"), 0.25])
    assert (one["saturated_ratio"], one["data_low"], one["data_high"]) == (0.5, 0.25, 0.5)


def test_only_quantised_inputs_are_counted():
    saturation = Saturation([None, HELD])
    saturation.add([numpy.full(4, 99.0), numpy.zeros(4)])
    assert [one["name"] for one in saturation.to_json()] == ["pixels"]
    assert Saturation([]).to_json() == []
    assert Saturation([HELD]).refusal("random") is None


@pytest.mark.parametrize(("dtype", "values"), [("uint8", [-1.0, 5.0]), ("int8", [0.0, 128.0]), ("int16", [1e6])])
def test_whole_numbers_beyond_a_dtype_are_refused_not_clipped(dtype, values):
    with pytest.raises(LoadFailure, match=f"input 'x' is {dtype}, and cannot hold the numbers from"):
        encode_plain(numpy.asarray(values), InputSlot("x", (len(values),), dtype))


def test_numbers_are_rounded_to_whole_ones():
    found = encode_plain(numpy.asarray([0.6, 254.6]), InputSlot("x", (2,), "uint8"))
    assert (found.tolist(), found.dtype.name) == ([1, 255], "uint8")


@pytest.mark.parametrize(
    "change",
    [
        {"saturated_ratio": 1.5},
        {"saturated_ratio": None},
        {"low": float("inf")},
        {"scale": True},
        {"data_low": "0"},
        {"name": 7},
        {"high": 10**400},
    ],
)
def test_nonsense_for_ranges_is_a_bad_report(change):
    one, _ = told([0.0])
    with pytest.raises(BadReport):
        check_outputs(dict(without_outputs("", "dataset"), input_ranges=[dict(one, **change)]))
