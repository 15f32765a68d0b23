"""What a file and a declaration make of each other, without a runtime."""

import re

import pytest

from device_worker.protocol.declarations import DeclaredInputs, DeclaredOutput
from device_worker.protocol.fields import BadField, Fields
from device_worker.trial.declared import batched_shape, check_inputs, find_output, settle_shape
from device_worker.trial.inputs import DatasetInputs, RandomInputs
from device_worker.trial.runtimes.base import InputSlot, LoadFailure

RANGE = {"low": 0.0, "high": 1.0}


def declared(shape=None, dtype=None, inputs=None, **bounds):
    one = dict(RANGE, shape=shape, dtype=dtype, **bounds)
    return DeclaredInputs(Fields({"input": one, "inputs": inputs}, "job"))


def output(shape, name=None):
    return DeclaredOutput(Fields({"shape": shape, "name": name}, "job"))


class Array:
    """What `find_output` reads of an array."""

    def __init__(self, *shape):
        self.shape = shape


@pytest.mark.parametrize("document", [{}, {"input": RANGE}, {"input": None}])
def test_plans_of_older_controllers_declare_a_range_alone(document):
    found = DeclaredInputs(Fields(document, "job")).of("x")
    assert (found.low, found.high, found.shape, found.dtype) == (0.0, 1.0, None, None)


@pytest.mark.parametrize("shape", ["1x4", [0, 4], [1.5], [True], 4])
def test_a_shape_that_is_none_is_refused_with_its_path(shape):
    with pytest.raises(BadField, match=r"job: input\.shape: expected a list of whole numbers of at least 1"):
        DeclaredInputs(Fields({"input": dict(RANGE, shape=shape)}, "job"))


@pytest.mark.parametrize(
    ("sizes", "shape", "settled"),
    [
        ([1, 8], None, (1, 8)),
        ([], None, ()),
        ([], [], ()),
        ([None, 8], None, (1, 8)),
        ([None, 8], [4, 8], (4, 8)),
        ([1, None, None, 3], [1, 224, 224, 3], (1, 224, 224, 3)),
    ],
)
def test_open_sizes_are_settled(sizes, shape, settled):
    assert settle_shape("x", sizes, declared(shape)) == settled


@pytest.mark.parametrize(
    ("sizes", "shape", "words"),
    [
        ([None], None, r"open sizes in the file: \[\?\]; declare input.shape"),
        ([1, None], None, r"open sizes in the file: \[1, \?\]; declare input.shape"),
        ([1, None, 3], [1, 8, 4], r"is \[1, \?, 3\] in the file, and model.yaml declares \[1, 8, 4\]"),
        ([], [1], r"is \[\] in the file, and model.yaml declares \[1\]"),
    ],
)
def test_what_stays_open_or_contradicts_is_refused(sizes, shape, words):
    with pytest.raises(LoadFailure, match=words):
        settle_shape("x", sizes, declared(shape))


@pytest.mark.parametrize(
    ("sizes", "shape", "mistake"),
    [
        ([1, 3, 8, 9], [1, 8, 9, 3], "the same sizes in another order, as channels first and channels last are"),
        ([1, 8, 9, 3], [8, 9, 3], "without the first size, the batch"),
        ([8, 9, 3], [1, 8, 9, 3], "with one size too many in front, as of a batch"),
        ([1, 8, 9, 3], [1, 7, 9, 3], None),
    ],
)
def test_the_usual_mistakes_of_a_shape_are_named_beside_both_shapes(sizes, shape, mistake):
    """An engine settles a shape as it loads, or has the shape of its inputs checked: the two ways of all engines."""
    both = f"input 'x' is {sizes} in the file, and model.yaml declares {shape}"
    expected = re.escape(both + (f" ({mistake})" if mistake else "") + "; correct input there")
    with pytest.raises(LoadFailure, match=expected):
        batched_shape("x", sizes, declared(shape), None, can_resize=True)
    with pytest.raises(LoadFailure, match=expected):
        check_inputs([InputSlot("x", tuple(sizes), "float32")], declared(shape))


def test_a_shape_without_its_batch_is_named_where_the_file_leaves_the_batch_open():
    with pytest.raises(LoadFailure, match=r"is \[\?, 8, 3\] in the file, .* \[8, 3\] \(without the first size"):
        settle_shape("x", [None, 8, 3], declared([8, 3]))


def test_a_declared_batch_and_another_of_the_cell_are_told_as_they_are():
    with pytest.raises(LoadFailure, match=r"declares \[4, 8\] for input 'x', and the cell asks for a batch of 2"):
        batched_shape("x", [None, 8], declared([4, 8]), 2, can_resize=False)
    assert batched_shape("x", [None, 8], declared([1, 8]), 2, can_resize=False) == (2, 8)


@pytest.mark.parametrize(
    ("dtype", "slot"),
    [
        ("float32", InputSlot("x", (1,), "float16")),
        ("float32", InputSlot("x", (1,), "int8", is_quantised=True)),
        ("int64", InputSlot("x", (1,), "int32")),
        ("bool", InputSlot("x", (1,), "bool")),
    ],
)
def test_dtypes_that_take_the_same_numbers_fit(dtype, slot):
    check_inputs([slot], declared([1], dtype))


@pytest.mark.parametrize(("dtype", "found"), [("float32", "int8"), ("int8", "uint8"), ("int32", "bool")])
def test_dtypes_that_take_other_numbers_are_refused(dtype, found):
    with pytest.raises(LoadFailure, match="'x' is %s in the file, and model.yaml declares %s" % (found, dtype)):
        check_inputs([InputSlot("x", (1,), found)], declared([1], dtype))


def test_a_declared_name_that_the_file_lacks_is_refused():
    by_name = declared([1], "float32", {"image": dict(RANGE, shape=[1], dtype="float32")})
    with pytest.raises(LoadFailure, match="declares an input 'image', and the file has 'x'"):
        check_inputs([InputSlot("x", (1,), "float32")], by_name)
    check_inputs([InputSlot("image", (1,), "float32")], by_name)


def test_the_declared_output_is_found_by_name_and_shape():
    outputs, names = [Array(1, 16), Array(1, 10), Array(1, 10)], ["a", "b", "c"]
    assert find_output(None, ["a"], outputs[:1]) == 0
    assert find_output(None, names, outputs) is None
    assert find_output(output([1, 16]), names, outputs) == 0
    assert find_output(output([1, 10], "c"), names, outputs) == 2
    assert find_output(output([1, 16], "c"), names, outputs) == 0  # names of converters tell positions
    with pytest.raises(LoadFailure, match=r"several outputs fit the output \[1, 10\]"):
        find_output(output([1, 10], "a"), names, outputs)
    with pytest.raises(LoadFailure, match=r"no output fits the output \[1, 3\].*'a' \[1, 16\], 'b' \[1, 10\]"):
        find_output(output([1, 3]), names, outputs)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "numbers"),
    [
        ("int32", 0.0, 1.0, {0, 1}),
        ("uint8", 0.0, 3.0, {0, 1, 2}),
        ("int64", -1.5, 1.5, {-1, 0, 1}),
        ("bool", 0.0, 1.0, {0, 1}),
    ],
)
def test_whole_numbers_are_those_of_the_range(dtype, low, high, numbers):
    pytest.importorskip("numpy")
    (drawn,) = RandomInputs(7, declared(low=low, high=high)).draw(0, [InputSlot("x", (500,), dtype)])
    assert set(drawn.tolist()) == numbers


@pytest.mark.parametrize(("dtype", "low", "high"), [("int32", 0.2, 0.8), ("uint8", -1.0, 1.0), ("int8", 0.0, 255.0)])
def test_a_range_that_the_dtype_cannot_hold_is_refused(dtype, low, high):
    pytest.importorskip("numpy")
    with pytest.raises(LoadFailure, match="declare low and high"):
        RandomInputs(7, declared(low=low, high=high)).draw(0, [InputSlot("x", (5,), dtype)])


def test_inputs_of_one_network_draw_the_same_in_any_order_of_the_file():
    pytest.importorskip("numpy")
    slots = [InputSlot("a", (5,), "float32"), InputSlot("b", (5,), "float32")]
    a, b = RandomInputs(7, declared()).draw(0, slots)
    other_b, other_a = RandomInputs(7, declared()).draw(0, slots[::-1])
    assert (a.tolist(), b.tolist()) == (other_a.tolist(), other_b.tolist())
    assert a.tolist() != b.tolist()


@pytest.mark.parametrize(("dtype", "high"), [("float16", 1e5), ("float32", 1e39), ("float64", 1e300)])
def test_a_range_that_turns_into_infinities_is_refused(dtype, high):
    pytest.importorskip("numpy")
    with pytest.raises(LoadFailure, match="is the largest; declare low and high"):
        RandomInputs(7, declared(high=high)).draw(0, [InputSlot("x", (5,), dtype)])


def test_text_saved_as_bytes_is_read_as_utf_8(tmp_path):
    numpy = pytest.importorskip("numpy")
    path, slot = str(tmp_path / "rows.npz"), InputSlot("words", (1, 2), "string")
    numpy.savez(path, x=numpy.array([["ja".encode(), "Straße".encode()], [b"\xff", b"ja"]]))
    (text,) = DatasetInputs(path).draw(0, [slot])
    assert text.tolist() == [["ja", "Straße"]]
    with pytest.raises(LoadFailure, match="bytes that are not UTF-8 for input 'words'"):
        DatasetInputs(path).draw(1, [slot])
    with pytest.raises(LoadFailure, match="has text for input 'x', which is float32"):
        DatasetInputs(path).draw(0, [InputSlot("x", (1, 2), "float32")])


def test_beside_x_further_arrays_may_be_anything(tmp_path):
    numpy = pytest.importorskip("numpy")
    path, slots = str(tmp_path / "rows.npz"), [InputSlot("x", (1, 3), "float32"), InputSlot("mask", (1, 1), "float32")]
    further = {"classes": numpy.array(["a", "b", "c"]), "scale": numpy.float32(2), "odd": numpy.array([None, 1])}
    numpy.savez(path, x=numpy.ones((2, 3)), y=numpy.zeros(2), mask=numpy.full((2, 1), 7.0), **further)
    assert len(DatasetInputs(path, 1)) == 1
    assert [row.tolist() for row in DatasetInputs(path).draw(1, slots)] == [[[1.0, 1.0, 1.0]], [[7.0]]]
    assert DatasetInputs(path).draw(0, [InputSlot("scale", (1, 3), "float32")])[0].tolist() == [[1.0, 1.0, 1.0]]
    for name in further:
        with pytest.raises(LoadFailure, match=f"the dataset has 'mask', 'x', and input '{name}' wants an array"):
            DatasetInputs(path).draw(0, [slots[0], InputSlot(name, (1,), "float32")])


def test_rows_that_turn_into_infinities_are_refused(tmp_path):
    numpy = pytest.importorskip("numpy")
    path = str(tmp_path / "rows.npz")
    numpy.savez(path, x=numpy.full((2, 3), 1e5))
    with pytest.raises(LoadFailure, match="is float16, and the dataset has 100000: 65504 is the largest"):
        DatasetInputs(path).draw(0, [InputSlot("x", (1, 3), "float16")])


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ((1, 2, 2, 3), "float32", r"rows are \[3, 2, 2\], and input 'x' takes \[1, 2, 2, 3\]; .* in another order"),
        ((1, 2, 2), "float32", r"rows are \[3, 2, 2\], and input 'x' takes \[1, 2, 2\]; x has one size too many"),
        ((1, 7), "float32", r"rows are \[3, 2, 2\], and input 'x' takes \[1, 7\]; make x of such rows"),
        ((1, 3, 2, 2), "int32", "has other numbers, from 0.5 to 0.5"),
    ],
)
def test_rows_are_neither_scrambled_nor_cut(tmp_path, shape, dtype, words):
    numpy = pytest.importorskip("numpy")
    path = str(tmp_path / "rows.npz")
    numpy.savez(path, x=numpy.full((2, 3, 2, 2), 0.5, "float32"))
    with pytest.raises(LoadFailure, match=words):
        DatasetInputs(path).draw(0, [InputSlot("x", shape, dtype)])


@pytest.mark.parametrize(
    ("rows", "labels", "words"), [(4, 3, "4 rows and 3 labels"), (0, None, "0 rows and no labels")]
)
def test_a_dataset_whose_labels_do_not_fit_is_told(tmp_path, rows, labels, words):
    numpy = pytest.importorskip("numpy")
    path = str(tmp_path / "rows.npz")
    numpy.savez(path, x=numpy.zeros((rows, 2)), **({} if labels is None else {"y": numpy.zeros(labels)}))
    with pytest.raises(LoadFailure, match=words):
        DatasetInputs(path)
