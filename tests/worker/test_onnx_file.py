"""What an .onnx file has and a session does not tell: inputs without a shape, weights in a further file."""

import pytest

from device_worker.trial.onnx_file import find_external, find_unranked

ANY = b"\x0a\x03any\x12\x04\x0a\x02\x08\x01"
ONE = b"\x0a\x03one\x12\x06\x0a\x04\x08\x01\x12\x00"
SEQUENCE = b"\x0a\x03seq\x12\x04\x22\x02\x0a\x00"


def graph_of(inputs=(), outputs=(), weights=b""):
    graph = b"".join(b"\x5a" + bytes([len(one)]) + one for one in inputs)
    graph += b"\x2a" + bytes([len(weights)]) + weights
    graph += b"".join(b"\x62" + bytes([len(one)]) + one for one in outputs)
    return b"\x08\x08\x3a" + bytes([len(graph)]) + graph


@pytest.fixture
def found(tmp_path):
    def find(data):
        (tmp_path / "model.onnx").write_bytes(data)
        return find_unranked(str(tmp_path / "model.onnx"))

    return find


def test_inputs_and_outputs_without_a_shape_are_found(found):
    assert found(graph_of([ONE, ANY], [ONE.replace(b"one", b"two")])) == {"any"}
    assert found(graph_of([ONE], [ANY], weights=b"\x0a\x00")) == {"any"}


def test_sequences_have_no_dimensions_to_declare(found):
    assert found(graph_of([SEQUENCE, ONE])) == frozenset()


@pytest.mark.parametrize("data", [b"", b"ORTM nonsense", b"\x3a\xff", b"\x80" * 12, graph_of([ANY])[:-1]])
def test_other_files_name_none(found, data):
    assert found(data) == frozenset()
    assert find_unranked("/no/such/file.onnx") == frozenset()
    assert find_external("/no/such/file.onnx") is None


def test_weights_in_a_further_file_are_found(tmp_path):
    entry = b"\x0a\x08location\x12\x04w.bin"[:-1]
    weight = b"\x42\x01w\x6a" + bytes([len(entry)]) + entry
    (tmp_path / "model.onnx").write_bytes(graph_of([ONE], weights=weight))
    assert find_external(str(tmp_path / "model.onnx")) == "w.bi"
    (tmp_path / "model.onnx").write_bytes(graph_of([ONE], weights=b"\x42\x01w"))
    assert find_external(str(tmp_path / "model.onnx")) is None
