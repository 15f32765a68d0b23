"""What is kept of a model's outputs."""

import base64

import pytest

from device_worker.trial.proof import Proof, pack_bits


@pytest.mark.parametrize("flags", [[], [True], [False], [True] * 8, [False] * 8 + [True], [True, False, True] * 7])
def test_bit_by_bit_the_flags_are_there_the_first_in_the_lowest_bit(flags):
    packed = pack_bits(flags)
    assert len(packed) == (len(flags) + 7) // 8
    number = int.from_bytes(packed, "little")
    assert [bool(number >> index & 1) for index in range(len(flags))] == flags
    assert number >> len(flags) == 0


def test_each_input_is_right_or_wrong():
    proof = Proof()
    proof._top1 = [3, 1, 4, 1]
    assert proof.to_input_results([3, 0, 4, 0]) == {
        "metric": "accuracy_top1",
        "encoding": "bits",
        "count": 4,
        "data": base64.b64encode(bytes([0b0101])).decode(),
    }
    assert proof.top1_accuracy([3, 0, 4, 0]) == 0.5


def test_more_inputs_than_the_log_takes_are_left_out():
    proof = Proof()
    proof._top1 = [0] * (8 * 65536 + 1)
    assert proof.to_input_results([0] * len(proof._top1)) is None
    del proof._top1[-1]
    assert proof.to_input_results([0] * len(proof._top1))["count"] == 8 * 65536
