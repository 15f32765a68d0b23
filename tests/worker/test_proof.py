"""What is kept of a model's outputs."""

import base64
import struct

import pytest

from device_worker.trial.accuracy import KEPT_OUTPUTS
from device_worker.trial.accuracy.base import Unprovable
from device_worker.trial.judged import judged_outputs
from device_worker.trial.proof import Proof, pack_bits
from device_worker.trial.runtimes.base import LoadFailure


@pytest.mark.parametrize("flags", [[], [True], [False], [True] * 8, [False] * 8 + [True], [True, False, True] * 7])
def test_bit_by_bit_the_flags_are_there_the_first_in_the_lowest_bit(flags):
    packed = pack_bits(flags)
    assert len(packed) == (len(flags) + 7) // 8
    number = int.from_bytes(packed, "little")
    assert [bool(number >> index & 1) for index in range(len(flags))] == flags
    assert number >> len(flags) == 0


def test_each_input_is_right_or_wrong():
    numpy = pytest.importorskip("numpy")
    proof = Proof("top1")
    for chosen, label in ((3, 3), (1, 0), (4, 4), (1, 0)):
        proof.add([("scores", numpy.eye(5, dtype="float32")[[chosen]])], label)
    assert proof.to_input_results() == {
        "metric": "accuracy_top1",
        "encoding": "bits",
        "count": 4,
        "data": base64.b64encode(bytes([0b0101])).decode(),
    }
    assert proof.accuracy() == 0.5


def test_a_label_among_the_five_highest_is_right_for_top5():
    numpy = pytest.importorskip("numpy")
    proof = Proof("top5")
    scores = numpy.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.1]], dtype="float32")  # of equal ones the first counts
    for label in (0, 4, 5, 6):
        proof.add([("scores", scores)], label)
    assert proof.accuracy() == 0.5
    results = proof.to_input_results()
    assert (results["metric"], base64.b64decode(results["data"])) == ("accuracy_top5", bytes([0b0011]))
    with pytest.raises(Unprovable, match="top5 of 5 classes"):
        Proof("top5").add([("scores", scores[:, :5])], 0)


def test_a_class_that_is_no_number_is_wrong():
    numpy = pytest.importorskip("numpy")
    broken = numpy.full((1, 7), numpy.nan, dtype="float32")
    sound = numpy.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]], dtype="float32")
    for metric in ("top1", "top5"):
        proof = Proof(metric)
        for scores in (broken, sound, broken):
            proof.add([("scores", scores)], 0)
        assert proof.accuracy() == pytest.approx(1 / 3), metric


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (8, "label 8 is none of the output's classes, 0 to 7; are the labels counted from 1"),
        (-1, "label -1 is none of the output's classes, 0 to 7$"),
        (1.7, "label '1.7' is no number of a class"),
        (float("nan"), "label 'nan' is no number of a class"),
        ("cat", "label 'cat' is no number of a class"),
        ([0, 1, 0], r"a label has the shape \[3\]: make y of the numbers of classes"),
    ],
)
def test_a_label_that_is_no_class_is_told(label, words):
    numpy = pytest.importorskip("numpy")
    scores = numpy.zeros((1, 8), dtype="float32")
    with pytest.raises(Unprovable, match=words):
        Proof("top1").add([("scores", scores)], label)
    proof = Proof("top1")
    labels = [0, numpy.int64(0), 0.0, numpy.array([0]), 7]
    for fit in labels:
        proof.add([("scores", scores)], fit)
    assert proof.accuracy() == 0.8


def test_an_output_of_one_value_has_no_class_to_choose():
    numpy = pytest.importorskip("numpy")
    chosen = numpy.array([6], dtype="float32")
    with pytest.raises(Unprovable, match="top1 of an output of one value"):
        Proof("top1").add([("class", chosen)], 6)
    proof = Proof()
    proof.add([("class", chosen)], 6)
    assert proof.count == 1, "without a metric the value itself is kept"


@pytest.mark.parametrize("metric", ["mean_iou", "mean_absolute_error"])
def test_a_score_that_is_no_number_is_no_proof(metric):
    numpy = pytest.importorskip("numpy")
    with pytest.raises(Unprovable, match="has NaN"):
        Proof(metric).add([("out", numpy.full((1, 2), numpy.nan))], [[0.0, 0.0]])


def test_more_inputs_than_the_log_takes_are_left_out():
    proof = Proof("top1")
    proof._scores = [0.0] * (8 * 65536 + 1)
    assert proof.to_input_results() is None
    del proof._scores[-1]
    assert proof.to_input_results()["count"] == 8 * 65536


class Answers:
    """Is a loaded model with some outputs."""

    output_names = ("a", "b")

    def __init__(self, *outputs):
        self.outputs = outputs

    def get_outputs(self):
        if isinstance(self.outputs[0], Exception):
            raise self.outputs[0]
        return list(self.outputs)

    def decode_outputs(self, outputs):
        return [output.astype("float32") if output.dtype.kind in "fiub" else output for output in outputs]


class Asked:
    """Is what a job says of outputs."""

    def __init__(self, shape=None, accuracy_metric=None):
        self.accuracy_metric = accuracy_metric
        self.output = None
        if shape is not None:
            self.output = Asked()
            self.output.shape, self.output.name = shape, None


def test_outputs_that_are_no_real_numbers_cannot_be_proven():
    numpy = pytest.importorskip("numpy")
    numbers = numpy.zeros((1, 3), "float32")
    for strange, words in (
        (numpy.zeros((1, 3), "complex64"), "output 'b' is of complex numbers, not of real numbers"),
        (numpy.array([b"left"]), "output 'b' is of strings, not of real numbers"),
        (numpy.array(["left", 1], dtype=object), "output 'b' is of strings, not of real numbers"),
        ([[1.0], [1.0, 2.0]], "output 'b' is no array: a list"),
    ):
        with pytest.raises(Unprovable, match=words):
            judged_outputs(Answers(numbers, strange), Asked())
    with pytest.raises(Unprovable, match="the runtime cannot read the outputs: sequences"):
        judged_outputs(Answers(RuntimeError("sequences")), Asked())


def test_a_declared_output_of_numbers_is_judged_beside_a_strange_one():
    numpy = pytest.importorskip("numpy")
    scores, label = numpy.ones((1, 3), "int8"), numpy.array([b"left"])
    ((name, found),) = judged_outputs(Answers(label, scores), Asked((1, 3), "top1"))
    assert name == "b"
    assert (found.dtype, found.shape) == (numpy.float32, (1, 3))
    with pytest.raises(LoadFailure, match="no output fits"):
        judged_outputs(Answers(label, scores), Asked((1, 4), "top1"))


def test_outputs_too_large_to_keep_are_left_out_with_the_reason():
    numpy = pytest.importorskip("numpy")
    proof = Proof()
    assert proof.unkept is None
    proof.add([(None, numpy.zeros(16385, "float32"))])
    assert proof.unkept == "the outputs of one input are 65540 bytes, of which 65536 are kept"


def test_a_varying_number_of_values_and_none_at_all_are_no_proof():
    numpy = pytest.importorskip("numpy")
    proof = Proof()
    proof.add([("a", numpy.zeros(3))])
    with pytest.raises(Unprovable, match="varies: 3 for one input, 5 for another"):
        proof.add([("a", numpy.zeros(5))])
    with pytest.raises(Unprovable, match="an output is empty"):
        Proof().add([("a", numpy.zeros((0, 4)))])
    with pytest.raises(Unprovable, match="an output is empty"):
        Proof().add([])


def test_maps_of_classes_are_judged_by_their_overlap():
    numpy = pytest.importorskip("numpy")
    # Classes 0 0 1 2 where 0 1 1 1 is true: 0 has 1 of 2 places, 1 has 1 of 3, and 2 none of 1.
    output = numpy.eye(3, dtype="float32")[[0, 0, 1, 2]].reshape(1, 2, 2, 3)
    label = numpy.array([[0, 1], [1, 1]])
    proof = Proof("mean_iou")
    proof.add([("map", output)], label)
    proof.add([("map", output)], output.argmax(axis=-1)[0])
    assert proof.accuracy() == pytest.approx(((1 / 2 + 1 / 3 + 0) / 3 + 1) / 2)
    results = proof.to_input_results()
    assert (results["metric"], results["encoding"], results["count"]) == ("accuracy_mean_iou", "f4", 2)
    assert struct.unpack("<2f", base64.b64decode(results["data"]))[0] == pytest.approx(5 / 18)
    with pytest.raises(Unprovable, match="4 places, and the label 3"):
        proof.add([("map", output)], [0, 1, 1])


def test_errors_are_the_mean_distance_from_the_label():
    numpy = pytest.importorskip("numpy")
    proof = Proof("mean_absolute_error")
    proof.add([("angle", numpy.array([[1.0, 4.0]], dtype="float32"))], [2.0, 2.0])
    proof.add([("angle", numpy.array([[0.0, 0.5]], dtype="float32"))], [0, 0])
    assert proof.accuracy() == pytest.approx((1.5 + 0.25) / 2)
    results = proof.to_input_results()
    assert results["metric"] == "accuracy_mean_absolute_error"
    assert struct.unpack("<2f", base64.b64decode(results["data"])) == (1.5, 0.25)
    with pytest.raises(Unprovable, match="2 values, and the label 3"):
        proof.add([("angle", numpy.zeros((1, 2), dtype="float32"))], [0, 1, 1])


def test_outputs_for_a_metric_of_the_controller_are_kept_up_to_64_kib():
    numpy = pytest.importorskip("numpy")
    first, all_ = Proof(), Proof(KEPT_OUTPUTS)
    for _ in range(2000):
        for proof in (first, all_):
            proof.add([("out", numpy.zeros((1, 10), dtype="float32"))])
    assert (first.count, all_.count) == (64, 1638)
